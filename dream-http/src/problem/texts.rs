//! What people are told: a status and a sentence for each code, a phrase for each fault of a field.

use dream_core::kernel::TemplateId;
use dream_core::{Code, Facts, Fault, FieldFault, PictureFault};
use http::StatusCode;

use super::Lang;

/// The status that the contract gives the code.
///
/// ```
/// use dream_core::Code;
/// use dream_http::problem::status;
///
/// assert_eq!(status(Code::JobNotFound), 404);
/// assert_eq!(status(Code::QuotaExceeded), 403);
/// ```
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::ValidationFailed | Code::InvalidJson | Code::InvalidCursor | Code::CharacterHasNoPhotos => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated
        | Code::TokenExpired
        | Code::TokenRevoked
        | Code::WechatCodeInvalid
        | Code::AdminKeyInvalid
        | Code::UpstreamKeyRequired => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::QuotaExceeded | Code::VipRequired | Code::ContentRejected => {
            StatusCode::FORBIDDEN
        }
        Code::RouteNotFound
        | Code::UserNotFound
        | Code::PlanNotFound
        | Code::OrderNotFound
        | Code::JobNotFound
        | Code::ImageNotFound
        | Code::FavoriteNotFound
        | Code::TemplateNotFound
        | Code::CharacterNotFound
        | Code::PhotoNotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::TemplateExists
        | Code::OrderNotPayable
        | Code::InvalidState
        | Code::IdempotencyConflict
        | Code::VipHigherActive
        | Code::PhotoLimitReached
        | Code::StorageLimitReached
        | Code::OrderLimitReached
        | Code::FavoriteLimitReached
        | Code::AlreadyPublished => StatusCode::CONFLICT,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::ImageInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::UpstreamError => StatusCode::BAD_GATEWAY,
        Code::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The code's sentence in both languages: Chinese, English.
const fn sentences(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::ValidationFailed => ("请求参数有误", "The input is not valid"),
        Code::InvalidJson => ("请求体不是有效的 JSON", "The body is not valid JSON"),
        Code::InvalidCursor => {
            ("游标无效，请从第一页重新开始", "The cursor is not valid; start from the first page")
        }
        Code::CharacterHasNoPhotos => ("该角色还没有照片", "The character has no photos yet"),
        Code::Unauthenticated => ("请先登录", "Please log in"),
        Code::TokenExpired => ("登录已过期，请重新登录", "The login has expired; please log in again"),
        Code::TokenRevoked => ("登录已失效，请重新登录", "The login is no longer valid; please log in again"),
        Code::WechatCodeInvalid => {
            ("微信登录凭证无效或已使用", "The WeChat code is invalid or was already used")
        }
        Code::UpstreamKeyRequired => (
            "请在 X-Upstream-Authorization 中提供您自己的图像服务密钥",
            "Send your own key for the image API in X-Upstream-Authorization",
        ),
        Code::AdminKeyInvalid => ("管理员密钥无效", "The admin key is not valid"),
        Code::Forbidden => ("没有权限执行此操作", "You may not do this"),
        Code::QuotaExceeded => ("今日额度和积分都不足", "Neither today's quota nor the points suffice"),
        Code::VipRequired => ("此功能需要开通会员", "This needs an active VIP level"),
        Code::ContentRejected => ("内容未通过安全审核", "The content did not pass the safety check"),
        Code::RouteNotFound => ("请求的地址不存在", "There is no such route"),
        Code::UserNotFound => ("用户不存在", "There is no such user"),
        Code::PlanNotFound => ("套餐不存在", "There is no such plan"),
        Code::OrderNotFound => ("订单不存在", "There is no such order"),
        Code::JobNotFound => ("任务不存在", "There is no such job"),
        Code::ImageNotFound => ("图片不存在", "There is no such picture"),
        Code::FavoriteNotFound => ("收藏不存在", "There is no such favorite"),
        Code::TemplateNotFound => ("模板不存在", "There is no such template"),
        Code::CharacterNotFound => ("角色不存在", "There is no such character"),
        Code::PhotoNotFound => ("照片不存在", "There is no such photo"),
        Code::MethodNotAllowed => ("不支持该请求方法", "This method is not allowed here"),
        Code::TemplateExists => ("模板编号已存在", "A template with this id exists already"),
        Code::OrderNotPayable => ("订单不是待支付状态", "The order is not waiting for a payment"),
        Code::InvalidState => ("当前状态不允许此操作", "The present state does not allow this"),
        Code::IdempotencyConflict => {
            ("该幂等键已用于另一个请求", "The idempotency key was used for another request")
        }
        Code::VipHigherActive => ("已拥有更高等级的会员", "A higher VIP level is already active"),
        Code::PhotoLimitReached => {
            ("该角色的照片数量已达上限", "The character has as many photos as it may have")
        }
        Code::StorageLimitReached => (
            "图片存储空间已用完，请先删除不需要的角色照片",
            "Your storage for pictures is full; delete photos of characters that you no longer need",
        ),
        Code::OrderLimitReached => (
            "待支付的订单过多，请先支付或等待订单过期",
            "Too many unpaid orders; pay one, or wait until one expires",
        ),
        Code::FavoriteLimitReached => (
            "收藏数量已达上限，请先取消部分收藏",
            "You have as many favorites as you may keep; remove some first",
        ),
        Code::AlreadyPublished => ("该作品已发布", "This result is already published"),
        Code::PayloadTooLarge => ("请求体过大", "The body is too large"),
        Code::UnsupportedMediaType => ("不支持的内容类型", "This content type is not supported"),
        Code::ImageInvalid => ("图片无法识别或超出限制", "The picture cannot be read or exceeds the limits"),
        Code::RateLimited => ("请求过于频繁，请稍后再试", "Too many requests; please try again later"),
        Code::Internal => ("服务器内部错误", "Something went wrong on our side"),
        Code::UpstreamError => {
            ("外部服务出错，请稍后再试", "A service we depend on failed; please try again later")
        }
        Code::UpstreamTimeout => ("外部服务响应超时", "A service we depend on did not answer in time"),
        Code::Unavailable => {
            ("服务暂时不可用，请稍后再试", "The service is unavailable just now; please try again")
        }
    }
}

/// What a job's owner reads about why it failed, where the job itself says nothing.
pub(crate) fn job_failure(code: &str, lang: Lang) -> &'static str {
    let (zh, en) = match code {
        "CONTENT_REJECTED" => ("内容未通过安全审核", "The content did not pass the safety check"),
        "UPSTREAM_TIMEOUT" => {
            ("生成超时，请稍后再试", "The pictures were not ready in time; please try again later")
        }
        "INVALID_REQUEST" => ("图像服务无法处理该请求", "The image service cannot process this request"),
        "RESULT_INVALID" => ("图像服务没有返回有效的图片", "The image service returned no valid picture"),
        _ => ("图像服务暂时不可用，请稍后再试", "The image service is unavailable; please try again later"),
    };
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// The code's sentence in this language.
pub(super) const fn sentence(code: Code, lang: Lang) -> &'static str {
    let (zh, en) = sentences(code);
    chosen(lang, zh, en)
}

/// The sentence for the whole answer. Of faulty fields the first few are named; `errors` has all of them.
pub(super) fn message(code: Code, facts: &Facts, lang: Lang) -> String {
    const NAMED: usize = 3;
    match facts {
        Facts::Fields(faults) if !faults.is_empty() => {
            let named: Vec<String> = faults.iter().take(NAMED).map(|fault| of_field(fault, lang)).collect();
            let separator = if matches!(lang, Lang::Zh) { "；" } else { "; " };
            let more = if faults.len() > NAMED { " …" } else { "" };
            named.join(separator) + more
        }
        Facts::Templates(ids) if !ids.is_empty() => {
            let named: Vec<&str> = ids.iter().take(NAMED).map(TemplateId::as_str).collect();
            let more = if ids.len() > NAMED { " …" } else { "" };
            format!("{}: {}{more}", sentence(code, lang), named.join(", "))
        }
        &Facts::Picture(fault) => {
            let (zh, en) = of_picture(fault);
            chosen(lang, zh, en).to_owned()
        }
        Facts::Signature => chosen(lang, "签名验证失败", "The signature does not verify").to_owned(),
        Facts::UserInactive => chosen(
            lang,
            "微信要求近期登录后才能检查内容，请关闭小程序，重新打开并登录后再试",
            "WeChat checks content only after a recent login; close the mini-program, open it again and log in",
        )
        .to_owned(),
        _ => sentence(code, lang).to_owned(),
    }
}

/// Why a picture was refused, and what helps: Chinese, English.
fn of_picture(fault: PictureFault) -> (&'static str, &'static str) {
    match fault {
        PictureFault::Format => (
            "不支持该图片格式，请使用 JPEG、PNG、GIF 或 WebP",
            "This picture format is not supported; use JPEG, PNG, GIF or WebP",
        ),
        PictureFault::Heic => (
            "暂不支持 HEIC 照片，请转换为 JPEG 后重新上传；iPhone 可在“设置 > 相机 > 格式”中选择“兼容性最佳”",
            "HEIC photos are not supported; convert it to JPEG, or choose Settings > Camera > Formats > \
             Most Compatible on an iPhone",
        ),
        PictureFault::Animated => (
            "暂不支持动态 WebP 和动态 PNG，请转换为 GIF，或上传静态图片",
            "Animated WebP and PNG are not supported; convert it to GIF, or upload a still picture",
        ),
        PictureFault::Damaged => (
            "图片文件不完整或已损坏，请重新上传",
            "The picture file is incomplete or damaged; upload it again",
        ),
        PictureFault::TooManyPixels => (
            "图片的像素或帧数超出限制，请缩小后重新上传",
            "The picture has too many pixels or frames; make it smaller",
        ),
        PictureFault::TooLargeToStore => (
            "图片处理后仍然过大，请缩小后重新上传",
            "The picture is too large even when compressed; make it smaller",
        ),
        _ => sentences(Code::ImageInvalid),
    }
}

const fn chosen(lang: Lang, zh: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

fn of_field(fault: &FieldFault, lang: Lang) -> String {
    format!("{} {}", fault.field, phrase(&fault.fault, lang))
}

/// What is wrong with a field, as the end of a sentence that begins with its name.
pub(super) fn phrase(fault: &Fault, lang: Lang) -> String {
    match lang {
        Lang::Zh => zh(fault),
        Lang::En => en(fault),
    }
}

fn en(fault: &Fault) -> String {
    match fault {
        Fault::Required => "is required".to_owned(),
        Fault::Unknown => "is not known here".to_owned(),
        Fault::Type(kind) => format!("must be {} {kind}", article(kind)),
        Fault::Range { min, max: i64::MAX } => format!("must be at least {min}"),
        Fault::Range { min, max } => format!("must be between {min} and {max}"),
        Fault::Length { min: 0, max } => format!("must have at most {max} characters or items"),
        Fault::Length { min, max: usize::MAX } => format!("must have at least {min} characters or items"),
        Fault::Length { min, max } if min == max => format!("must have exactly {min} characters or items"),
        Fault::Length { min, max } => format!("must have between {min} and {max} characters or items"),
        Fault::OneOf(words) => format!("must be one of {}", words.join(", ")),
        Fault::Format(format) => format!("must be {}", format.en()),
        Fault::Conflict(other) => format!("does not go together with {other}"),
        Fault::Duplicate => "is given twice".to_owned(),
        Fault::NotFound => "names something that does not exist".to_owned(),
        _ => "is not valid".to_owned(),
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn zh(fault: &Fault) -> String {
    match fault {
        Fault::Required => "为必填项".to_owned(),
        Fault::Unknown => "不是可识别的字段".to_owned(),
        Fault::Type(kind) => format!("必须是{}", zh_noun(kind)),
        Fault::Range { min, max: i64::MAX } => format!("不能小于 {min}"),
        Fault::Range { min, max } => format!("必须在 {min} 到 {max} 之间"),
        Fault::Length { min: 0, max } => format!("长度不能超过 {max}"),
        Fault::Length { min, max: usize::MAX } => format!("长度不能少于 {min}"),
        Fault::Length { min, max } if min == max => format!("长度必须为 {min}"),
        Fault::Length { min, max } => format!("长度必须在 {min} 到 {max} 之间"),
        Fault::OneOf(words) => format!("必须是以下之一：{}", words.join("、")),
        Fault::Format(format) => format!("格式不正确，应为：{}", format.zh()),
        Fault::Conflict(other) => format!("与 {other} 冲突"),
        Fault::Duplicate => "重复出现".to_owned(),
        Fault::NotFound => "所指的内容不存在".to_owned(),
        _ => "无效".to_owned(),
    }
}

fn zh_noun(kind: &str) -> &str {
    match kind {
        "integer" => "整数",
        "number" => "数字",
        "string" => "字符串",
        "boolean" => "布尔值",
        "array" => "数组",
        "object" => "对象",
        other => other,
    }
}
