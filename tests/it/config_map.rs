//! A policy in a ConfigMap: Kubernetes swaps what is mounted, and tells nobody.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::signed_policies::{ask, decided, policy, until};
use crate::support::{Guard, Script, Upstream, chat, post};

/// As a ConfigMap is mounted: a link to a link to a folder, of which the middle one is swapped.
fn swap(dir: &Path, number: u64) {
    let folder = format!("..2026_{number}");
    std::fs::create_dir(dir.join(&folder)).unwrap();
    std::fs::write(dir.join(&folder).join("policy.yaml"), policy(number)).unwrap();
    std::os::unix::fs::symlink(&folder, dir.join("..data_tmp")).unwrap();
    std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    if number > 1 {
        std::fs::remove_dir_all(dir.join(format!("..2026_{}", number - 1))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_swapped_config_map_is_taken_under_load_unless_it_is_not_watched() {
    let upstream = Upstream::start(Script::say("PORTCULLIS-TEST-S6")).await;
    for watched in [true, false] {
        let mounted = tempfile::tempdir().unwrap();
        swap(mounted.path(), 1);
        let file = mounted.path().join("policy.yaml");
        std::os::unix::fs::symlink("..data/policy.yaml", &file).unwrap();
        let settings = format!("policy: {{ file: {}, watch: {watched} }}\n", file.display());
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let guard = Guard::settled(&dir, &upstream.url(), &settings).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let (address, over) = (guard.address, Arc::clone(&over));
            callers.spawn(async move {
                let body = chat("PORTCULLIS-TEST-S6", false).to_string();
                while !over.load(Ordering::Relaxed) {
                    let (number, status) = decided(&post(address, &[], body.as_bytes()).await);
                    assert_eq!(status, if number.is_multiple_of(2) { 400 } else { 200 });
                }
            });
        }
        for number in 2..=4 {
            swap(mounted.path(), number);
            if !watched {
                // Longer than a watched one would take.
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert_eq!(decided(&ask(&guard).await).0, number - 1);
                guard.signal("HUP");
            }
            until(&guard, number).await;
        }
        over.store(true, Ordering::Relaxed);
        callers.join_all().await;
    }
}
