//! Faults.

#[path = "../client/mod.rs"]
mod client;

use client::{Caller, Program, request, review};

fn main() {
    let rt = tokio::runtime::Runtime::new().expect("rt");
    rt.block_on(async {
        let p = Program::start(&[("REGISTRY", "registry.example")]).await;
        let mut c = Caller::new(p.address, &p.tls());
        let r = request(
            "POST",
            "/mutate?timeout=10s",
            &[("Content-Type", "application/json")],
            &review("a", 5000),
        );
        println!("{}", r.len());
        let t = std::time::Instant::now();
        for _ in 0..10000 {
            let a = c.call(&r).await.expect("answer");
            assert_eq!(a.status, 200);
        }
        println!(
            "{:?} {} {:?}",
            t.elapsed(),
            c.connections,
            p.metric("pullgate_admission_requests_total", &["patched"]).await
        );
    });
}
