//! What an evaluation costs; run by hand, in release mode, with `--nocapture`.

use std::hint::black_box;
use std::time::Instant;

use serde_json::json;

use super::*;

#[test]
#[ignore = "a measurement"]
fn what_an_evaluation_costs() {
    let request = message(&json!({"name": "Ann", "items": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}));
    for text in ["true", "request.name == ''", "'Hello, ' + request.name", "request.items.exists(i, i.name == 'c')"] {
        let expression = Expression::compile(text, &scope()).unwrap();
        let rounds = 1_000_000;
        let start = Instant::now();
        for _ in 0..rounds {
            let names = Names::default().message("request", &request);
            let _ = black_box(expression.evaluate(black_box(&names)));
        }
        println!("{:>8.1} ns  {text}", start.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    let start = Instant::now();
    for _ in 0..200 {
        let _ = black_box(Expression::compile("request.name == '' && request.items.all(i, i.name != '')", &scope()));
    }
    println!("{:>8.1} µs  to compile one", start.elapsed().as_micros() as f64 / 200.0);
}
