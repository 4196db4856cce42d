//! The WeChat Pay v3 adapter: the protocol's vectors, and whole conversations with the fake platform.
#![cfg(test)]
#![cfg(feature = "wechat-pay")]

mod bill;
mod config;
mod errors;
mod noise;
mod notify;
mod signing;
mod vectors;
mod verification;
