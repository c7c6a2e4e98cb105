//! Answers of 4 KB, beside the least that looking at them costs: a search for one byte.
//! `cargo bench -p classifiers-code-shield`

#![allow(
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    reason = "a benchmark stops where something is wrong"
)]

use classifiers_code_shield::CodeShield;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const PROSE: &str = "The committee met on Tuesday and talked about the new library. Nobody knew how many rooms it has. ";

fn answer(kind: &str) -> String {
    let code = match kind {
        "prose" => return PROSE.chars().cycle().take(4096).collect(),
        "python" => {
            "def total(rows):\n    # adds up\n    result = 0\n    for row in rows:\n        result += int(row['n'])\n    return result\n\n"
        }
        "weak" => {
            "def find(db, name):\n    db.execute(\"SELECT * FROM users WHERE name = '%s'\" % name)\n    os.system('ls ' + name)\n\n"
        }
        _ => {
            "const cmd = build(rows); // select one\nfor (const row of rows) { run(row.select, `x ${row.n}`); }\n\n"
        }
    };
    let body: String = code.chars().cycle().take(3600).collect();
    format!("{}\n```{}\n{body}\n```\n", PROSE.repeat(4), if kind == "js" { "js" } else { "python" })
}

#[divan::bench(args = ["prose", "python", "weak", "js"])]
fn code_shield(bencher: Bencher, kind: &str) {
    let (shield, text) = (CodeShield::new().unwrap(), answer(kind));
    let _first = shield.find(&text);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(|| shield.find(black_box(&text)).map(|f| f.len()));
}

#[divan::bench(args = ["prose", "python", "weak", "js"])]
fn one_byte(bencher: Bencher, kind: &str) {
    let text = answer(kind);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(|| black_box(&text).as_bytes().contains(&0));
}

#[divan::bench]
fn start() -> usize {
    CodeShield::new().unwrap().rules().len()
}
