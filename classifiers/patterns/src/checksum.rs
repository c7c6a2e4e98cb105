//! Checksums as the formats define them, and how mixed a text is.

/// Luhn's sum (ISO/IEC 7812-1) over digits 0 to 9.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(*digit) << (place % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// An IBAN's check (ISO 7064 MOD 97-10) over letters and digits without spaces.
pub(crate) fn mod_97(iban: &[u8]) -> bool {
    let (head, tail) = iban.split_at(iban.len().min(4));
    let rest = tail.iter().chain(head).fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.to_ascii_uppercase().wrapping_sub(b'A')) + 10) % 97,
    });
    rest == 1
}

/// Verhoeff's check (dihedral group of order ten), as in Aadhaar numbers.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    // The permutation and the product of the group, computed: tables of them are easy to get wrong.
    const fn product(a: u8, b: u8) -> u8 {
        match (a < 5, b < 5) {
            (true, true) => (a + b) % 5,
            (true, false) => (a + b - 5) % 5 + 5,
            (false, true) => (a + 5 - b) % 5 + 5,
            (false, false) => (a + 5 - b) % 5,
        }
    }
    const STEP: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let permuted = |digit: u8, times: usize| {
        (0..times % 8).fold(digit, |d, _| STEP.get(usize::from(d)).copied().unwrap_or(0))
    };
    let sum = digits.iter().rev().enumerate();
    sum.fold(0, |sum, (place, digit)| product(sum, permuted(*digit, place))) == 0
}

/// ISO 7064 MOD 11,10 with the check digit last, as in German tax numbers.
pub(crate) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, rest)) = digits.split_last() else { return false };
    let product = rest.iter().fold(10u32, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

/// The sum of digits, each times its weight: `first`, then one less each time.
pub(crate) fn falling_sum(digits: &[u8], first: u32) -> u32 {
    digits.iter().zip(0..).map(|(d, i)| u32::from(*d) * first.saturating_sub(i)).sum()
}

/// The number that `digits` write.
pub(crate) fn value(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |value: u64, digit| value.wrapping_mul(10).wrapping_add(u64::from(*digit)))
}

/// Whether the last six letters of `body` are the CRC-32 of what is before them in base 62, as in the tokens of GitHub
/// (blog "Behind GitHub's new authentication token formats", 2021) and npm.
pub(crate) fn crc_62(body: &[u8]) -> bool {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some((said, check)) = body.split_last_chunk::<6>() else { return false };
    let mut sum = u64::from(crc32fast::hash(said));
    check.iter().rev().all(|letter| {
        let expected = usize::try_from(sum % 62).ok().and_then(|digit| LETTERS.get(digit));
        sum /= 62;
        expected == Some(letter)
    })
}

/// Shannon's entropy of the bytes of `text`, in bits for each.
pub(crate) fn entropy(text: &[u8]) -> f32 {
    let mut counts = [0u16; 256];
    for byte in text {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let all = text.len() as f32;
    let share = |count: &u16| f32::from(*count) / all;
    counts.iter().filter(|count| **count > 0).map(|c| -share(c) * share(c).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect()
    }

    /// A checksum that lets every change of one digit through checks nothing.
    fn catches_every_change(good: &str, check: fn(&[u8]) -> bool) {
        let good = digits(good);
        assert!(check(&good), "{good:?}");
        for place in 0..good.len() {
            for digit in (0..10).filter(|digit| *digit != good[place]) {
                let mut changed = good.clone();
                changed[place] = digit;
                assert!(!check(&changed), "{changed:?}");
            }
        }
    }

    #[test]
    fn published_numbers_pass_and_no_changed_digit_does() {
        catches_every_change("4111111111111111", luhn);
        catches_every_change("378282246310005", luhn);
        catches_every_change("236", verhoeff);
        catches_every_change("86095742719", mod_11_10);
        for iban in
            ["GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606"]
        {
            assert!(mod_97(iban.as_bytes()));
            assert!(!mod_97(iban.replace('0', "1").as_bytes()) || !iban.contains('0'));
        }
    }

    #[test]
    fn entropy_is_in_bits_per_byte() {
        assert_eq!((entropy(b"aaaaaaaa"), entropy(b"abababab")), (0.0, 1.0));
        assert!((entropy(b"0123456789abcdef") - 4.0).abs() < 1e-6);
    }
}
