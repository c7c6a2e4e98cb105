//! What is asked of the server.

use std::fmt::Write as _;
use std::sync::LazyLock;

use policies::{Limits, Quota};
use redis::{Script, ScriptInvocation};

use crate::arrival::Caller;
use crate::limit::account::{Kind, Report};

/// Counts what one caller uses.
static ACCOUNT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("account.lua")));
/// Counts the guards.
static GUARDS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("guards.lua")));

/// The key of what `caller` uses of `limits`: other limits are other accounts. It has the fingerprint of an API key or
/// of an address, never the thing itself.
pub(super) fn key(prefix: &str, limits: &Limits, caller: &Caller) -> String {
    let mut key = prefix.to_owned();
    for kind in Kind::ALL {
        // Writing to a string cannot fail.
        let _written = match kind.quota(limits) {
            Some(Quota { count, per }) => write!(key, ":{count}/{}s", per.as_secs_f64()),
            None => write!(key, ":-"),
        };
    }
    let pause = limits.blocked.map_or(0.0, |budget| budget.pause.as_secs_f64());
    let _written = write!(key, ":{pause}s:{}", caller.fingerprint());
    key
}

/// Reports, and counts a request if `asks`. At another time than the server's own only in tests.
pub(super) fn account(
    key: &str,
    limits: &Limits,
    (report, asks): (&Report, bool),
    now_us: u64,
) -> ScriptInvocation<'static> {
    let mut call = ACCOUNT.key(key);
    call.arg(now_us).arg(report.common).arg(u8::from(asks));
    for kind in Kind::ALL {
        let quota = kind.quota(limits);
        call.arg(quota.map_or(0, |quota| quota.count.get()));
        call.arg(quota.map_or(1, |quota| micros(quota.per)));
    }
    call.arg(limits.blocked.map_or(0, |budget| micros(budget.pause)));
    for (kind, age, count) in &report.owed {
        call.arg(*kind as u8 + 1).arg(*age).arg(*count);
    }
    call
}

/// Says that `guard` is here, and asks how many there are.
pub(super) fn guards(prefix: &str, guard: uuid::Uuid, gone_ms: u64) -> ScriptInvocation<'static> {
    let mut call = GUARDS.key(format!("{prefix}:guards"));
    call.arg(guard.to_string()).arg(gone_ms);
    call
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
