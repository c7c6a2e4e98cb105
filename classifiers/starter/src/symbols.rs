//! Small pieces of the scan: a buffer of symbols, and what punctuation and digits stand for.

/// Punctuation that says nothing when it stands alone.
pub(crate) fn is_dull(symbol: u16) -> bool {
    matches!(u8::try_from(symbol), Ok(b'.' | b',' | b'\'' | b'-' | b'(' | b')' | b'/' | b'_'))
}

/// The letter that a mark inside a word stands for.
pub(crate) fn leet_mark(ascii: u8) -> Option<u8> {
    match ascii {
        b'@' => Some(b'a'),
        b'$' => Some(b's'),
        b'!' | b'|' => Some(b'i'),
        _ => None,
    }
}

/// The letter that a digit inside a word stands for.
pub(crate) fn leet_digit(symbol: u16) -> u16 {
    let letter = match u8::try_from(symbol) {
        Ok(b'0') => b'o',
        Ok(b'1') => b'i',
        Ok(b'3') => b'e',
        Ok(b'4') => b'a',
        Ok(b'5') => b's',
        Ok(b'7') => b't',
        Ok(b'8') => b'b',
        Ok(b'9') => b'g',
        _ => return symbol,
    };
    u16::from(letter)
}

/// A small buffer of symbols without allocation.
pub(crate) struct Buffer<const N: usize> {
    symbols: [u16; N],
    len: usize,
}

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self { symbols: [0; N], len: 0 }
    }

    /// Adds a symbol; false when there is no room.
    #[inline]
    pub(crate) fn push(&mut self, symbol: u16) -> bool {
        match self.symbols.get_mut(self.len) {
            Some(place) => {
                *place = symbol;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Adds symbols while there is room; how many were added.
    #[inline]
    pub(crate) fn extend(&mut self, symbols: impl Iterator<Item = u16>) -> u32 {
        let free = self.symbols.get_mut(self.len..).unwrap_or_default();
        let added = free.iter_mut().zip(symbols).map(|(place, symbol)| *place = symbol).count();
        self.len += added;
        added as u32
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len == N
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u16] {
        self.symbols.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn for_each(&mut self, change: impl FnMut(&mut u16)) {
        self.symbols.iter_mut().take(self.len).for_each(change);
    }

    pub(crate) fn len(&self) -> u32 {
        // At most `N`, which is small.
        self.len as u32
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}
