//! Asks any server that speaks S3 whether it keeps what Dream expects of its storage.
//!
//! ```text
//! s3_conformance ENDPOINT BUCKET ACCESS_KEY_ID SECRET_ACCESS_KEY [--unsigned]
//! ```
//!
//! With `--unsigned` it is not asked to turn away uploads whose signature is wrong.
//!
//! The bucket must be there, must be empty, and must let anybody read under `ENDPOINT/BUCKET/`.
#![expect(clippy::print_stdout, reason = "a program tells how it went")]

use std::error::Error;
use std::sync::Arc;

use dream_core::adapters::{R2Blobs, R2Config, SystemClock};
use dream_testkit::conformance::blobs;
use secrecy::SecretString;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let signed = arguments.pop_if(|last| last == "--unsigned").is_none();
    let [endpoint, bucket, access_key_id, secret] = arguments.as_slice() else {
        return Err("usage: s3_conformance ENDPOINT BUCKET ACCESS_KEY_ID SECRET_ACCESS_KEY".into());
    };
    // Whoever uses the library alone chooses the provider of TLS.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = R2Config {
        endpoint: endpoint.clone(),
        bucket: bucket.clone(),
        access_key_id: access_key_id.clone(),
        secret_access_key: SecretString::from(secret.as_str()),
        public_url: format!("{endpoint}/{bucket}"),
    };
    let storage = R2Blobs::new(&config, Arc::new(SystemClock))?;
    if signed {
        blobs::all(&storage).await?;
    } else {
        blobs::all_but_signatures(&storage).await?;
    }
    println!("ok  {endpoint} keeps every promise");
    Ok(())
}
