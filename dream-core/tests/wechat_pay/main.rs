//! The WeChat Pay v3 adapter: the protocol's vectors, and whole conversations with the fake platform.
#![cfg(test)]
#![cfg(feature = "wechat-pay")]

mod bill;
mod business;
mod config;
mod errors;
mod faults;
mod noise;
mod notify;
mod shop;
mod signing;
mod story;
mod vectors;
mod verification;
