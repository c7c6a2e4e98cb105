//! The language in which a wire format's fields are listed.
//!
//! A table is closed: a field that no [`Field`] names is refused in requests and dropped from answers, so
//! that whatever passes was examined, validated or is a number or a flag.

use classifiers_core::{Direction, Role};

/// Who speaks in the text below a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    pub(crate) role: Role,
    pub(crate) direction: Direction,
}

/// What a value may be, and what becomes of it.
#[derive(Debug)]
pub(crate) enum Shape {
    /// `null`: the field is as good as absent.
    Null,
    /// A flag.
    Bool,
    /// A flag that may only be `false`; the text says what `true` would ask for.
    Never(&'static str),
    /// A whole number within bounds.
    Int(i64, i64),
    /// A number within bounds.
    Number(f64, f64),
    /// A nested object of numbers, such as `usage`.
    Numbers,
    /// An identifier: at most 256 visible ASCII characters without quotes, brackets or spaces. Examined in
    /// requests.
    Id,
    /// Bytes as Base64 (RFC 4648, the standard alphabet): numbers or a signature, no text.
    Base64,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text: examined.
    Text,
    /// Text that is itself JSON (a tool call's arguments): examined as written, and unescaped.
    JsonText,
    /// Any JSON: every key and every string in it is examined.
    Free,
    /// An array.
    List(&'static Shape),
    /// Parts of one text: each is examined, and so is what they say together.
    Parts(&'static Shape),
    /// An object whose keys are identifiers; they are examined.
    Map(&'static Shape),
    /// An object.
    Object(&'static [Field]),
    /// The word by which a [`Shape::Tagged`] object was recognised: known already.
    Tag,
    /// An object whose fields depend on the word in this field of it, which is a [`Shape::Tag`].
    Tagged(&'static str, &'static [(&'static str, &'static [Field])]),
    /// The first of two shapes where the object has this field, the second where it has not.
    Having(&'static str, &'static [Shape; 2]),
    /// The first of these that has the value's JSON type.
    Either(&'static [Shape]),
    /// Removed: what client libraries add to messages for themselves and no model sees.
    Dropped,
    /// Emptied: what stands there becomes `[]`, `{}` or `null`. For what clients expect to find and must not read.
    Emptied,
    /// Refused; the text says why.
    Refused(&'static str),
}

/// One field of an object.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// Who speaks below this field, where it is not who speaks around it.
    pub(crate) voice: Option<Voice>,
}

/// A field that may be absent.
pub(crate) const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: false, voice: None }
}

/// A field that must be there.
pub(crate) const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: true, voice: None }
}

impl Field {
    /// The same field, spoken by `role` and governed by `direction`.
    pub(crate) const fn by(mut self, role: Role, direction: Direction) -> Self {
        self.voice = Some(Voice { role, direction });
        self
    }
}
