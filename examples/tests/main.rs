//! The examples do what they say.

#[path = "../embed.rs"]
mod embed;
#[path = "../listen.rs"]
mod listen;
#[path = "../own_ports/main.rs"]
mod own_ports;
#[path = "../serve_beside.rs"]
mod serve_beside;
#[path = "../take_payment.rs"]
mod take_payment;
mod test_yours;

use std::sync::Arc;

use dream_core::adapters::SystemClock;
use dream_core::kernel::Fen;

#[test]
fn every_program_runs_to_its_end() {
    embed::main().unwrap();
    listen::main().unwrap();
    own_ports::main().unwrap();
    serve_beside::main().unwrap();
    take_payment::main().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_there_draws_what_it_is_told() {
    let answers = embed::run(&["a lighthouse at dusk", ""]).await.unwrap();
    assert!(answers[0].starts_with("http://127.0.0.1:"), "{answers:?}");
    assert_eq!(answers[1], "sorry: VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_stands_beside_routes_of_ones_own() {
    let answers = serve_beside::run(&["/hello", "/v1/vip/plans", "/v1/users/me", "/nowhere"]).await.unwrap();
    let statuses: Vec<u16> = answers.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 401, 404]);
    assert_eq!(answers[0].2, "hello");
    assert!(answers[1].2.contains("vip_month"), "{answers:?}");
    assert!(answers[3].2.contains("ROUTE_NOT_FOUND"), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_ones_own_do_as_well() {
    let told = own_ports::run().await.unwrap();
    assert!(told.url.starts_with("https://shelf.example/results/"), "{told:?}");
    assert!(told.bytes > 0, "{told:?}");
    assert_eq!((told.points, told.coins), (8, Fen::new(100)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shelf_of_ones_own_keeps_what_the_port_promises() {
    let shelf = own_ports::Shelf::new(Arc::new(SystemClock));
    dream_testkit::conformance::blobs::all(&shelf).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_taken_with_the_payment_module_alone() {
    let story = take_payment::run().await.unwrap();
    assert_eq!(story[0], "the phone is handed prepay_id= signed by RSA");
    assert!(story[1].ends_with("was paid by o-alice"), "{story:?}");
    assert_eq!(story[2..], ["asked: the same", "given back once: true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_heard() {
    let heard = listen::run().await.unwrap();
    assert_eq!(heard, ["ending: VIP", "finished: SUCCEEDED", "paid: 500 fen"]);
}
