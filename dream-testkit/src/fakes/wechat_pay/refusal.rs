//! The platform's error answers.

use http::StatusCode;
use serde_json::{Value, json};

use crate::fakes::server::FakeResponse;

/// An error answer: status, code, text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) code: &'static str,
    message: String,
    detail: Option<Value>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: None }
    }

    pub(super) fn with_detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// 400: a defect of the caller's.
    pub(super) fn param(field: &str, issue: &str) -> Self {
        let detail = json!({"field": field, "issue": issue, "location": "body"});
        Self::new(StatusCode::BAD_REQUEST, "PARAM_ERROR", format!("参数错误: {field} {issue}"))
            .with_detail(detail)
    }

    /// 400: the request contradicts an earlier one.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    /// 404: no such refund, payment or certificate.
    pub(super) fn missing(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "RESOURCE_NOT_EXISTS", message)
    }

    pub(super) fn order_missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ORDER_NOT_EXIST", "订单不存在")
    }

    pub(super) fn order_paid() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ORDERPAID", "该订单已支付")
    }

    pub(super) fn order_closed() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ORDER_CLOSED", "订单已关闭")
    }

    pub(super) fn answer(&self) -> FakeResponse {
        let mut body = json!({"code": self.code, "message": self.message});
        if let Some(detail) = &self.detail {
            body["detail"] = detail.clone();
        }
        FakeResponse::json(self.status, &body).noted(format!("{} {}", self.code, self.message))
    }
}
