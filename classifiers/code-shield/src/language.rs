//! Programming languages: how they are called, and how they are told.

/// A language that there are rules for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are names")]
pub enum Language {
    C,
    Cpp,
    CSharp,
    Go,
    Java,
    JavaScript,
    Kotlin,
    ObjectiveC,
    Php,
    Python,
    Ruby,
    Rust,
    Shell,
    Sql,
    Swift,
}

/// Language, the names that fences give it (the first is the one of rules and reports), and what is written in no other.
type Row = (Language, &'static [&'static str], &'static [&'static str]);

const TABLE: &[Row] = &[
    (
        Language::C,
        &["c", "h"],
        &["#include <", "int main(", "printf(", "malloc(", "sizeof(", "->", "char *", "NULL"],
    ),
    (
        Language::Cpp,
        &["cpp", "c++", "cc", "cxx", "hpp"],
        &["std::", "#include <iostream", "cout <<", "template <", "nullptr", "using namespace"],
    ),
    (
        Language::CSharp,
        &["csharp", "c#", "cs"],
        &[
            "using System",
            "namespace ",
            "Console.",
            "public async Task",
            "string.Format(",
            "new SqlCommand",
        ],
    ),
    (
        Language::Go,
        &["go", "golang"],
        &["package main", "func (", ":= ", "fmt.", "err != nil", "func main()"],
    ),
    (
        Language::Java,
        &["java"],
        &[
            "import java",
            "public class ",
            "System.out",
            "throws ",
            "private static final",
            "@Override",
        ],
    ),
    (
        Language::JavaScript,
        &["javascript", "js", "jsx", "typescript", "ts", "tsx", "node", "mjs"],
        &[
            "const ",
            "require(",
            "=> ",
            "document.",
            "function ",
            "===",
            "let ",
            "console.log",
            "await ",
        ],
    ),
    (
        Language::Kotlin,
        &["kotlin", "kt", "kts"],
        &["fun ", "val ", "println(", "import kotlin", "data class", "?: "],
    ),
    (
        Language::ObjectiveC,
        &["objectivec", "objective-c", "objc", "obj-c", "mm"],
        &["@interface", "@implementation", "#import <", "NSString", "[self ", "@\""],
    ),
    (Language::Php, &["php"], &["<?php", "$_GET", "$_POST", "$_REQUEST", "$this->", "echo $"]),
    (
        Language::Python,
        &["python", "py", "python3", "ipython", "pycon"],
        &["def ", "import ", "self.", "elif ", "print(", "None", "self,", "except ", "__name__"],
    ),
    (
        Language::Ruby,
        &["ruby", "rb", "rails", "erb"],
        &["end\n", "puts ", "require '", "do |", "params[", ".each", "attr_accessor"],
    ),
    (
        Language::Rust,
        &["rust", "rs"],
        &[
            "fn main()",
            "let mut ",
            "impl ",
            "println!",
            "use std::",
            "&mut ",
            ".unwrap()",
            "pub fn ",
        ],
    ),
    (
        Language::Shell,
        &["bash", "sh", "shell", "zsh", "console", "shell-session", "ksh"],
        &["#!/bin/", "sudo ", "echo \"", "fi\n", "done\n", "curl ", "chmod ", "export "],
    ),
    (
        Language::Sql,
        &["sql", "mysql", "postgresql", "postgres", "tsql", "plsql", "sqlite"],
        &[
            "SELECT ",
            "CREATE TABLE",
            "CREATE PROCEDURE",
            "INSERT INTO",
            "GRANT ",
            "BEGIN\n",
            "DECLARE @",
        ],
    ),
    (
        Language::Swift,
        &["swift"],
        &["import Foundation", "import UIKit", "guard let", "func ", "let ", "nil", "print(\""],
    ),
];

impl Language {
    /// The name that rules and reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE
            .iter()
            .find(|row| row.0 == self)
            .and_then(|row| row.1.first())
            .copied()
            .unwrap_or_default()
    }

    /// The language that a fence or a file's ending calls `name`, in any case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.1.iter().any(|known| known.eq_ignore_ascii_case(name)))
            .map(|row| row.0)
    }

    /// The language that `code` seems to be in: the one with most of its own marks, if it has two of them and more than
    /// any other has.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        // The beginning of a file says it.
        let head = code.get(..code.floor_char_boundary(HEAD)).unwrap_or(code);
        let marks = |row: &Row| row.2.iter().filter(|mark| head.contains(**mark)).count();
        let mut scores: Vec<(usize, Self)> = TABLE.iter().map(|row| (marks(row), row.0)).collect();
        scores.sort_by(|a, b| b.cmp(a));
        match scores.as_slice() {
            [(best, language), (next, _), ..] if *best >= 2 && best > next => Some(*language),
            _ => None,
        }
    }

    /// How its comments and texts are written.
    pub(crate) const fn syntax(self) -> Syntax {
        let c = Syntax { slashes: true, hash: false, dashes: false, single: true, triple: false };
        match self {
            Self::Python => Syntax { slashes: false, hash: true, triple: true, ..c },
            Self::Ruby | Self::Shell => Syntax { slashes: false, hash: true, ..c },
            Self::Php => Syntax { hash: true, ..c },
            Self::Sql => Syntax { slashes: false, dashes: true, ..c },
            // An apostrophe begins a lifetime more often than a character.
            Self::Rust => Syntax { single: false, ..c },
            _ => c,
        }
    }
}

/// So much of a block is looked at to tell its language, in bytes.
const HEAD: usize = 4096;

/// How comments and texts are written in a language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    /// `//` and `/* */` are comments.
    pub(crate) slashes: bool,
    /// `#` begins a comment.
    pub(crate) hash: bool,
    /// `--` begins a comment.
    pub(crate) dashes: bool,
    /// `'` begins a text.
    pub(crate) single: bool,
    /// Three quotes begin a text of several lines.
    pub(crate) triple: bool,
}
