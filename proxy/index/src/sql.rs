//! From a query to SQL. Values are always bound, never written into the text.

use jiff::Timestamp;
use rusqlite::types::Value;

use crate::packed;
use crate::query::{Field, Order, Query, Term, Test};

/// What kind of tag a field is.
pub(crate) const fn tag(field: Field) -> Option<i64> {
    match field {
        Field::Hazard => Some(1),
        Field::Classifier => Some(2),
        Field::Failed => Some(3),
        Field::Exemption => Some(4),
        Field::Language => Some(5),
        _ => None,
    }
}

/// The column of a field that has one value at most.
pub(crate) const fn column(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Action => "action",
        Field::Would => "would",
        Field::Outcome => "outcome",
        Field::Route => "route",
        Field::Model => "model",
        Field::Key => "coalesce(key_name, key)",
        Field::Policy => "policy",
        Field::Profile => "profile",
        Field::Reason => "reason",
        Field::Status => "status",
        Field::Method => "method",
        Field::Mode => "mode",
        Field::Instance => "instance",
        Field::Trace => "trace",
        Field::Review => "review",
        Field::Id => "id",
        _ => return None,
    })
}

/// A query in SQL: `FROM ... WHERE ...`.
pub(crate) struct Selected {
    pub(crate) from: &'static str,
    pub(crate) filter: String,
    pub(crate) values: Vec<Value>,
}

/// How much a score of a category may be above the strongest: it is kept with four decimals.
const ROUNDING: f64 = 0.0001;

/// The condition that a category's score compares so.
fn of_category(category: &str, order: Order, than: f64) -> (String, Vec<Value>) {
    let its = format!("score_of(scores, (SELECT id FROM names WHERE name = ?)) {} ?", order.sign());
    let (category, least) = (category.to_owned(), than - ROUNDING);
    match order {
        // The strongest score of all is not weaker, and has an index.
        Order::Above | Order::AtLeast => {
            (format!("score >= ? AND {its}"), vec![least.into(), category.into(), than.into()])
        }
        Order::Below | Order::AtMost => (its, vec![category.into(), than.into()]),
    }
}

/// The value that stands for none.
const NONE: &str = "none";

impl Selected {
    /// What `query` means if it is asked at `now`.
    pub(crate) fn of(query: &Query, now: Timestamp) -> Self {
        let mut selected = Self { from: "decisions", filter: "TRUE".into(), values: Vec::new() };
        let texts = query.terms.iter().filter_map(|term| match &term.test {
            Test::Text(text) if !term.exclude => Some(matching(text)),
            _ => None,
        });
        let texts: Vec<String> = texts.collect();
        if !texts.is_empty() {
            // The search is walked from its newest row on, and stops when a page is full.
            selected.from = "texts CROSS JOIN decisions ON decisions.seq = texts.rowid";
            selected.and("texts MATCH ?", [texts.join(" AND ").into()]);
        }
        for term in &query.terms {
            selected.term(term, now);
        }
        selected
    }

    /// Adds a condition.
    pub(crate) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.filter.push_str(" AND ");
        self.filter.push_str(condition);
        self.values.extend(values);
    }

    fn term(&mut self, Term { exclude, test }: &Term, now: Timestamp) {
        let (condition, values) = match test {
            Test::Is(field, wanted) => any(*field, wanted),
            Test::Score { category: None, order, than } => {
                (format!("score {} ?", order.sign()), vec![f64::from(*than).into()])
            }
            Test::Score { category: Some(category), order, than } => {
                of_category(category, *order, f64::from(*than))
            }
            Test::Sample(share) => {
                ("share_of(decisions.id) < ?".into(), vec![(*share / 100.0).into()])
            }
            Test::Since(moment) => {
                ("time >= ?".into(), vec![moment.resolve(now).as_millisecond().into()])
            }
            Test::Until(moment) => {
                ("time < ?".into(), vec![moment.resolve(now).as_millisecond().into()])
            }
            Test::Text(_) if !exclude => return,
            Test::Text(text) => (
                "decisions.seq IN (SELECT rowid FROM texts WHERE texts MATCH ?)".into(),
                vec![matching(text).into()],
            ),
        };
        let negated = if *exclude { " IS NOT TRUE" } else { "" };
        self.and(&format!("({condition}){negated}"), values);
    }
}

/// A phrase of the search language: in quotes nothing but quotes has a meaning.
fn matching(text: &str) -> String {
    let (words, star) = match text.strip_suffix('*') {
        Some(words) => (words, " *"),
        None => (text, ""),
    };
    format!("\"{}\"{star}", words.replace('"', "\"\""))
}

/// The condition that `field` has one of the `wanted` values.
fn any(field: Field, wanted: &[String]) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let conditions = wanted.iter().map(|wanted| one(field, wanted, &mut values));
    (conditions.collect::<Vec<_>>().join(" OR "), values)
}

fn one(field: Field, wanted: &str, values: &mut Vec<Value>) -> String {
    if let Some(kind) = tag(field) {
        values.push(kind.into());
        if wanted == NONE {
            return "NOT EXISTS (SELECT 1 FROM tags WHERE kind = ? AND tags.seq = decisions.seq)"
                .into();
        }
        let name = compared("name", wanted, values);
        return format!("decisions.seq IN (SELECT seq FROM tags WHERE kind = ? AND {name})");
    }
    if field == Field::Id {
        values.push(packed::id(wanted).into());
        return "decisions.id = ?".into();
    }
    if field == Field::Reviewer {
        let of = "SELECT decision FROM reviews WHERE stands AND verdict IS NOT NULL";
        if wanted == NONE {
            return format!("decisions.id NOT IN ({of})");
        }
        let name = compared("reviewer", wanted, values);
        return format!("decisions.id IN ({of} AND {name})");
    }
    let column = column(field).unwrap_or("NULL");
    if wanted == NONE {
        return format!("{column} IS NULL");
    }
    if field == Field::Key {
        let (name, key) = (compared("key_name", wanted, values), compared("key", wanted, values));
        return format!("({name} OR {key})");
    }
    compared(column, wanted, values)
}

/// `column` against a value in which `*` stands for anything.
fn compared(column: &str, wanted: &str, values: &mut Vec<Value>) -> String {
    let (mut plain, mut pattern, mut stars) = (String::new(), String::new(), false);
    let mut chars = wanted.chars();
    while let Some(c) = chars.next() {
        let (c, literal) = match c {
            '\\' => (chars.next().unwrap_or('\\'), true),
            c => (c, c != '*'),
        };
        plain.push(c);
        match c {
            '*' | '?' | '[' if literal => pattern.extend(['[', c, ']']),
            c => {
                stars |= !literal;
                pattern.push(c);
            }
        }
    }
    match stars {
        true => {
            values.push(pattern.into());
            format!("{column} GLOB ?")
        }
        // A number in a column of numbers is found by its text too: SQLite converts it.
        false => {
            values.push(plain.into());
            format!("{column} = ?")
        }
    }
}
