//! What operators' machines read about requests.

use std::net::SocketAddr;

use crate::support::{Guard, POLICY, Reply, Script, Upstream, chat, post, raw};

async fn metrics(admin: SocketAddr, accept: &str) -> Reply {
    let head = "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    raw(admin, format!("{head}accept: {accept}\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn requests_are_counted_as_they_are_recorded_and_traces_lead_to_them() {
    let upstream = Upstream::start(Script::say("fine")).await;
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let routes = "routes:\n  - { header: { x-team: red }, use: watched }\n  - { use: base }\n";
    let policy = format!("{POLICY}profiles:\n  watched: {{ mode: shadow }}\n{routes}");
    let guard = Guard::with(&upstream.url(), &policy, &format!("admin: {admin}"));
    let ask = async |text: &str, team: &str, trace: &str| {
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
        let headers = [("traceparent", &*traceparent), ("x-team", team)];
        post(guard.address, &headers, chat(text, false).to_string().as_bytes()).await.status
    };
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(ask("hello", "blue", trace).await, 200);
    assert_eq!(ask("PORTCULLIS-TEST-S1", "blue", trace).await, 400);
    assert_eq!(ask("PORTCULLIS-TEST-S1", "red", trace).await, 200);
    upstream.play(Script::status("500 Internal Server Error", "{}"));
    assert_eq!(ask("hello again", "blue", trace).await, 502);
    assert_eq!(post(guard.address, &[], b"{").await.status, 400);
    guard.closed_after(5).await;
    let plain = metrics(admin, "*/*").await;
    assert!(plain.headers["content-type"].starts_with("text/plain"));
    assert!(!plain.body.contains(trace) && !plain.body.contains("# EOF"), "{}", plain.body);
    let hazard = "hazard=\"violent_crimes\"";
    for line in [
        "guard_requests_total{dialect=\"openai_chat\",outcome=\"allowed\"} 2".to_owned(),
        "guard_requests_total{dialect=\"openai_chat\",outcome=\"blocked\"} 1".to_owned(),
        "guard_requests_total{dialect=\"openai_chat\",outcome=\"upstream_failed\"} 1".to_owned(),
        "guard_reasons_total{outcome=\"upstream_failed\",reason=\"upstream_refused\"} 1".to_owned(),
        "guard_reasons_total{outcome=\"refused\",reason=\"invalid_json\"} 1".to_owned(),
        format!(
            "profile=\"base\",direction=\"input\",action=\"block\",would=\"block\",{hazard},mode=\"enforce\"}} 1"
        ),
        format!(
            "profile=\"watched\",direction=\"input\",action=\"allow\",would=\"block\",{hazard},mode=\"shadow\"}} 1"
        ),
        "guard_request_seconds_count 5".to_owned(),
        "guard_policy_reloads_total{result=\"replaced\"} 0".to_owned(),
    ] {
        assert!(plain.body.contains(&line), "{line} is not in:\n{}", plain.body);
    }
    let open = metrics(admin, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert!(open.headers["content-type"].starts_with("application/openmetrics-text"));
    assert!(open.body.ends_with("# EOF\n"));
    assert!(open.body.contains("# TYPE guard_requests counter\n"), "{}", open.body);
    assert!(open.body.contains(&format!(" # {{trace_id=\"{trace}\"}} ")), "{}", open.body);
}
