//! From a query to SQL. Values are always bound, never written into the text.

use jiff::Timestamp;

use crate::packed;
use crate::query::{Field, Order, Query, Term, Test};
use crate::store::{Dialect, Sql, Stored, Value};

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
    pub(crate) from: String,
    /// The column by which a list is walked.
    pub(crate) walked: &'static str,
    pub(crate) filter: String,
    pub(crate) values: Vec<Value>,
}

/// The numbers of the decisions for which one condition holds: `SELECT seq FROM ...`.
struct Alone {
    text: String,
    values: Vec<Value>,
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

/// So many decisions are sorted and looked at sooner than others are walked.
const FEW: u64 = 20_000;

/// The words that all must be there, if `query` asks for any.
fn words(query: &Query, dialect: Dialect) -> Option<Value> {
    let texts = query.terms.iter().filter_map(|term| match &term.test {
        Test::Text(text) if !term.exclude => Some(dialect.phrase(text)),
        _ => None,
    });
    let texts: Vec<String> = texts.collect();
    (!texts.is_empty()).then(|| dialect.all(&texts).into())
}

/// Whether an index has the decisions of which `field` has these values.
fn has_index(field: Field, wanted: &[String]) -> bool {
    let is_pattern = wanted.iter().any(|wanted| wanted.contains('*'));
    let is_none = wanted.iter().any(|wanted| wanted == NONE);
    let is_column = column(field).is_some() && !matches!(field, Field::Method | Field::Mode);
    !is_pattern && (is_column || (tag(field).is_some() && !is_none))
}

impl Alone {
    fn with(condition: &str, values: Vec<Value>) -> Self {
        Self { text: format!("SELECT seq FROM decisions WHERE {condition}"), values }
    }

    fn with_words(dialect: Dialect, words: Value) -> Self {
        let text =
            format!("SELECT {} FROM texts WHERE {}", dialect.text_row(), dialect.has_words());
        Self { text, values: vec![words] }
    }

    /// How many these are, up to one more than [`FEW`].
    fn count(&self, sql: &mut dyn Sql) -> Stored<u64> {
        let text = format!("SELECT count(*) FROM ({} LIMIT {}) AS few", self.text, FEW + 1);
        Ok(sql.row(&text, &self.values)?.map_or(0, |mut row| row.count()))
    }
}

impl Selected {
    /// What `query` means in `dialect` if it is asked at `now`.
    pub(crate) fn of(query: &Query, now: Timestamp, dialect: Dialect) -> Self {
        let mut selected = Self::all(dialect);
        if let Some(words) = words(query, dialect) {
            (selected.from, selected.walked) = (dialect.searched().into(), dialect.text_row());
            selected.and(dialect.has_words(), [words]);
        }
        for term in &query.terms {
            selected.term(term, now);
        }
        selected
    }

    fn all(dialect: Dialect) -> Self {
        let (from, walked) = ("decisions".into(), "decisions.seq");
        Self { dialect, from, walked, filter: "TRUE".into(), values: Vec::new() }
    }

    /// The same, begun with the one condition that leaves fewest, if these are few. No store knows beforehand how many a
    /// condition leaves, and either walks all decisions to find none, or sorts half of them for a page.
    pub(crate) fn of_few(query: &Query, now: Timestamp, sql: &mut dyn Sql) -> Stored<Self> {
        let dialect = sql.dialect();
        let plain = Self::of(query, now, dialect);
        let text = words(query, dialect).map(|words| Alone::with_words(dialect, words));
        // Begun with the words it is as it stands.
        let mut fewest = text.as_ref().map_or(Ok(FEW + 1), |text| text.count(sql))?;
        let mut first = None;
        for alone in plain.alone(query, now) {
            let count = alone.count(sql)?;
            if count < fewest {
                (fewest, first) = (count, Some(alone));
            }
        }
        let Some(first) = first else { return Ok(plain) };
        let mut selected = Self::all(dialect);
        selected.from = format!("({} LIMIT {}) AS few CROSS JOIN decisions", first.text, i64::MAX);
        selected.walked = "few.seq";
        selected.values = first.values;
        selected.and("decisions.seq = few.seq", []);
        if let Some(Alone { text, values }) = text {
            selected.and(&format!("decisions.seq IN ({text})"), values);
        }
        for term in &query.terms {
            selected.term(term, now);
        }
        Ok(selected)
    }

    /// Each condition of which an index says for how many it holds. One that stands alone needs none but its own index,
    /// which has its decisions in their order.
    fn alone(&self, query: &Query, now: Timestamp) -> Vec<Alone> {
        let is_alone = query.terms.len() == 1;
        let mut time = Self::all(self.dialect);
        let mut all = Vec::new();
        for term in &query.terms {
            match &term.test {
                // Few decisions are reviewed of many.
                Test::Is(Field::Review, wanted) if term.exclude && *wanted == [NONE] => {
                    all.push(Alone::with("review > ''", Vec::new()));
                }
                _ if term.exclude => {}
                Test::Since(_) | Test::Until(_) => time.term(term, now),
                Test::Score { category, order: Order::Above | Order::AtLeast, than } => {
                    let rounding = if category.is_some() { ROUNDING } else { 0.0 };
                    let least = f64::from(*than) - rounding;
                    all.push(Alone::with("score >= ?", vec![least.into()]));
                }
                Test::Is(field, wanted) if has_index(*field, wanted) => {
                    match (tag(*field), wanted.as_slice()) {
                        (Some(kind), [name]) => {
                            let mut values = vec![kind.into()];
                            let name = self.compared("name", name, &mut values);
                            let text = format!("SELECT seq FROM tags WHERE kind = ? AND {name}");
                            all.push(Alone { text, values });
                        }
                        (None, _) if !is_alone => {
                            let (condition, values) = self.any(*field, wanted);
                            all.push(Alone::with(&condition, values));
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        if !time.values.is_empty() {
            all.push(Alone::with(&time.filter, time.values));
        }
        all
    }

    /// The newest `limit`, newest first.
    pub(crate) fn newest(&self, columns: &str, limit: usize) -> String {
        let Self { from, walked, filter, .. } = self;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        format!("SELECT {columns} FROM {from} WHERE {filter} ORDER BY {walked} DESC LIMIT {limit}")
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
            Test::Text(text) => {
                let Alone { text, values } =
                    Alone::with_words(self.dialect, self.dialect.phrase(text).into());
                (format!("decisions.seq IN ({text})"), values)
            }
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
            return format!(
                "EXISTS (SELECT 1 FROM tags WHERE kind = ? AND {name} AND tags.seq = decisions.seq)"
            );
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
