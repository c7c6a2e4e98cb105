//! From a query to SQL. Values are always bound, never written into the text.

use jiff::Timestamp;

use crate::packed;
use crate::query::{Field, Order, Query, Term, Test};
use crate::store::{Dialect, Value};

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
    dialect: Dialect,
    pub(crate) from: &'static str,
    /// The column by which a list is walked.
    pub(crate) walked: &'static str,
    pub(crate) filter: String,
    pub(crate) values: Vec<Value>,
}

/// How much a score of a category may be above the strongest: it is kept with four decimals.
const ROUNDING: f64 = 0.0001;

/// The condition that a category's score compares so.
fn of_category(category: &str, order: Order, than: f64) -> (String, Vec<Value>) {
    let sign = order.sign();
    let its = format!("score_of(scores, (SELECT id FROM names WHERE name = ?)) {sign} ?");
    match order {
        // The strongest score of all is not weaker, and has an index.
        Order::Above | Order::AtLeast => {
            let strongest = than - ROUNDING;
            (format!("score >= ? AND {its}"), vec![strongest.into(), category.into(), than.into()])
        }
        Order::Below | Order::AtMost => (its, vec![category.into(), than.into()]),
    }
}

/// The one column of numbers that is compared with texts.
const NUMBER: &str = "status";

/// The value that stands for none.
const NONE: &str = "none";

impl Selected {
    /// What `query` means in `dialect` if it is asked at `now`.
    pub(crate) fn of(query: &Query, now: Timestamp, dialect: Dialect) -> Self {
        let (from, walked) = ("decisions", "decisions.seq");
        let mut selected =
            Self { dialect, from, walked, filter: "TRUE".into(), values: Vec::new() };
        let texts = query.terms.iter().filter_map(|term| match &term.test {
            Test::Text(text) if !term.exclude => Some(dialect.phrase(text)),
            _ => None,
        });
        let texts: Vec<String> = texts.collect();
        if !texts.is_empty() {
            (selected.from, selected.walked) = (dialect.searched(), dialect.text_row());
            selected.and(dialect.has_words(), [dialect.all(&texts).into()]);
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
            Test::Is(field, wanted) => self.any(*field, wanted),
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
                format!(
                    "decisions.seq IN (SELECT {} FROM texts WHERE {})",
                    self.dialect.text_row(),
                    self.dialect.has_words()
                ),
                vec![self.dialect.phrase(text).into()],
            ),
        };
        let negated = if *exclude { " IS NOT TRUE" } else { "" };
        self.and(&format!("({condition}){negated}"), values);
    }

    /// The condition that `field` has one of the `wanted` values.
    fn any(&self, field: Field, wanted: &[String]) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let conditions = wanted.iter().map(|wanted| self.one(field, wanted, &mut values));
        (conditions.collect::<Vec<_>>().join(" OR "), values)
    }

    fn one(&self, field: Field, wanted: &str, values: &mut Vec<Value>) -> String {
        if let Some(kind) = tag(field) {
            values.push(kind.into());
            if wanted == NONE {
                return "NOT EXISTS (SELECT 1 FROM tags WHERE kind = ? AND tags.seq = decisions.seq)"
                    .into();
            }
            let name = self.compared("name", wanted, values);
            return format!("decisions.seq IN (SELECT seq FROM tags WHERE kind = ? AND {name})");
        }
        if field == Field::Id {
            values.push(packed::id(wanted).into());
            return "decisions.id = ?".into();
        }
        if field == Field::Reviewer {
            let of = "SELECT decision FROM reviews WHERE stands = 1 AND verdict IS NOT NULL";
            if wanted == NONE {
                return format!("decisions.id NOT IN ({of})");
            }
            let name = self.compared("reviewer", wanted, values);
            return format!("decisions.id IN ({of} AND {name})");
        }
        let column = column(field).unwrap_or("NULL");
        if wanted == NONE {
            return format!("{column} IS NULL");
        }
        if field == Field::Key {
            let (name, key) =
                (self.compared("key_name", wanted, values), self.compared("key", wanted, values));
            return format!("({name} OR {key})");
        }
        self.compared(column, wanted, values)
    }

    /// `column` against a value in which `*` stands for anything.
    fn compared(&self, column: &str, wanted: &str, values: &mut Vec<Value>) -> String {
        let dialect = self.dialect;
        let (mut plain, mut pattern, mut stars) = (String::new(), String::new(), false);
        let mut chars = wanted.chars();
        while let Some(c) = chars.next() {
            let (c, literal) = match c {
                '\\' => (chars.next().unwrap_or('\\'), true),
                c => (c, c != '*'),
            };
            plain.push(c);
            if literal {
                dialect.add_literal(&mut pattern, c);
            } else {
                stars = true;
                pattern.push(dialect.anything());
            }
        }
        match stars {
            true if column == NUMBER => {
                values.push(pattern.into());
                dialect.is_like("CAST(status AS TEXT)")
            }
            true => {
                values.push(pattern.into());
                dialect.is_like(column)
            }
            false if column == NUMBER => {
                // No status is negative.
                values.push(plain.parse::<u16>().map_or(-1, i64::from).into());
                "status = ?".into()
            }
            false => {
                values.push(plain.into());
                format!("{column} = ?")
            }
        }
    }
}
