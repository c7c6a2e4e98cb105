//! Letters that are drawn like ASCII letters.

use std::sync::LazyLock;

use unicode_normalization::char::decompose_compatible;

/// The alphabets that have letters drawn like Latin ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// ASCII letters.
    Latin,
    /// Alphabets that whole texts are written in.
    Cyrillic,
    Greek,
    Armenian,
    Cherokee,
    /// Phonetic and historic letters, which no text in earnest mixes with others.
    Odd,
}

impl Alphabet {
    /// The alphabet in a set of alphabets.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The alphabet of `c`, if it is one in which look-alikes are found.
    pub(crate) fn of(c: char) -> Option<Self> {
        match c {
            'a'..='z' | 'A'..='Z' => Some(Self::Latin),
            '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}' => Some(Self::Greek),
            '\u{400}'..='\u{52F}' | '\u{1C80}'..='\u{1C8F}' | '\u{A640}'..='\u{A69F}' => {
                Some(Self::Cyrillic)
            }
            '\u{531}'..='\u{587}' => Some(Self::Armenian),
            '\u{13A0}'..='\u{13FF}' | '\u{AB70}'..='\u{ABBF}' => Some(Self::Cherokee),
            '\u{250}'..='\u{2AF}'
            | '\u{1D00}'..='\u{1D2B}'
            | '\u{2C80}'..='\u{2CFF}'
            | '\u{A4D0}'..='\u{A4FF}'
            | '\u{A730}'
            | '\u{A731}'
            | '\u{10280}'..='\u{1032F}'
            | '\u{10400}'..='\u{1044F}' => Some(Self::Odd),
            _ => None,
        }
    }
}

/// Greek, Cyrillic and Armenian: whole texts are written in them.
const TABLED: std::ops::Range<u32> = 0x370..0x588;

static TABLE: LazyLock<Vec<Option<char>>> =
    LazyLock::new(|| TABLED.map(|code| char::from_u32(code).and_then(find)).collect());

/// The ASCII letter that `c`, a letter of an [`Alphabet`], is drawn like.
pub(crate) fn look_alike(c: char) -> Option<char> {
    match u32::from(c).checked_sub(TABLED.start) {
        Some(place) if TABLED.contains(&u32::from(c)) => {
            TABLE.get(place as usize).copied().flatten()
        }
        _ => find(c),
    }
}

fn find(c: char) -> Option<char> {
    let mut pairs = PAIRS.chars();
    std::iter::from_fn(|| Some((pairs.next()?, pairs.next()?)))
        .find(|(other, _)| *other == c)
        .map(|(_, latin)| latin)
}

/// Letters of the [alphabets](Alphabet) in turn with the ASCII letters they are drawn like: those of Unicode's list of
/// confusable characters (UTS #39) that come down to one letter, and some more that people use so.
const PAIRS: &str = "ɑaɡgɢgɣyɩiɪiɯwɴnʀrʄfʋuʏyʙbʜhʟlͿJΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXαaβbγyεeηnιiκkνvοoρpσoτtυuχxωwϒYϜFϭoϱpϲc\
ϳjϸpϹCϺMЅSІIЈJАAВBЕEКKМMНHОOРPСCТTУYХXЬbаaвbгrеeкkмmнhоoрpсcтtуyхxшwѕsіiјjѡwѴVѵvҮYүyҺhһhҽeӀIӏlԁdԌGԚQ\
ԛqԜWԝwՍUՏSՕOաwգqզqհhյjոnռnսuցgւiքfօoᎠDᎡRᎢTᎥiᎩYᎪAᎫJᎬEᎳWᎷMᎻHᎽYᏀGᏂhᏃZᏏbᏒRᏔWᏕSᏙVᏚSᏞLᏟCᏢPᏦKᏧdᏳGᏴBᲂoᲃcᴀaᴄc\
ᴅdᴇeᴊjᴋkᴍmᴏoᴑoᴘpᴛtᴜuᴠvᴡwᴢzᴦrιiⲂBⲅrⲌZⲍzⲎHⲒIⲓiⲔKⲘMⲚNⲞOⲟoⲢPⲣpⲤCⲥcⲦTⲨYⲩyⲬXⲽwⳎPⳏpⳐLꓐBꓑPꓒdꓓDꓔTꓖGꓗKꓙJꓚCꓜZꓝF\
ꓟMꓠNꓡLꓢSꓣRꓦVꓧHꓪWꓫXꓬYꓮAꓰEꓲlꓳOꓴUꙇiꜰfꜱsꭵiꮁrꮃwꮓzꮤwꮩvꮪsꮯc𐊂B𐊆E𐊇F𐊊l𐊐X𐊒O𐊕P𐊖S𐊗T𐊠A𐊡B𐊢C𐊥F𐊫O𐊰M𐊱T𐊲Y𐊴X𐋏H𐌁B𐌂C𐌉l𐌏O𐌑M\
𐌕T𐌗X𐌜b𐐄O𐐕C𐐛L𐐠S𐐬o𐐽c𐑈s";

/// The ASCII character that `c` is a decorated form of: full width, bold, circled, raised.
pub(crate) fn undecorated(c: char) -> Option<char> {
    let code = u32::from(c);
    let enclosed = match code {
        0x1F130..=0x1F149 => Some(code - 0x1F130),
        0x1F150..=0x1F169 => Some(code - 0x1F150),
        0x1F170..=0x1F189 => Some(code - 0x1F170),
        // Ordinals of Spanish and Portuguese.
        0xAA | 0xBA => return None,
        _ => None,
    };
    if let Some(letter) = enclosed {
        return char::from_u32(0x41 + letter);
    }
    let (mut first, mut count) = (None, 0);
    let mut parts = ['\0'; 3];
    decompose_compatible(c, |part| {
        first = first.or(Some(part));
        if let Some(place) = parts.get_mut(count) {
            *place = part;
        }
        count += 1;
    });
    match (count, parts) {
        (1, [plain, ..]) if plain != c && plain.is_ascii_graphic() => Some(plain),
        (3, ['(', letter, ')']) if letter.is_ascii_lowercase() => Some(letter),
        _ => None,
    }
}

/// Letters drawn upside down, with what they are.
pub(crate) const FLIPPED: [(char, char); 21] = [
    ('ɐ', 'a'),
    ('ɔ', 'c'),
    ('ǝ', 'e'),
    ('ɟ', 'f'),
    ('ƃ', 'g'),
    ('ɓ', 'g'),
    ('ɥ', 'h'),
    ('ᴉ', 'i'),
    ('ı', 'i'),
    ('ɾ', 'j'),
    ('ſ', 'j'),
    ('ʞ', 'k'),
    ('ʃ', 'l'),
    ('ɯ', 'm'),
    ('ɹ', 'r'),
    ('ʇ', 't'),
    ('ʌ', 'v'),
    ('ʍ', 'w'),
    ('ʎ', 'y'),
    ('∀', 'A'),
    ('Ǝ', 'E'),
];

/// ASCII characters that are others upside down.
pub(crate) const FLIPPED_ASCII: [(char, char); 12] = [
    ('b', 'q'),
    ('q', 'b'),
    ('d', 'p'),
    ('p', 'd'),
    ('n', 'u'),
    ('u', 'n'),
    ('M', 'W'),
    ('W', 'M'),
    ('˙', '.'),
    ('\'', ','),
    ('¿', '?'),
    ('¡', '!'),
];
