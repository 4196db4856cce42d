//! What a new installation starts with: plans, templates and two pictures.

use crate::dream::Dream;
use crate::error::{Error, Result};
use crate::gallery;
use crate::jobs::{AspectRatio, Mode, Resolution};
use crate::kernel::Timestamp;
use crate::media::{self, Owner, PictureKind};
use crate::ports::BlobKey;
use crate::store::{Change, Db, Sql, Tx};
use crate::templates;
use crate::vip::{self, Level};

pub(crate) struct SeedPlan {
    pub(crate) plan_id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) duration_days: i64,
    pub(crate) original_price: i64,
    pub(crate) current_price: i64,
    pub(crate) benefits: &'static [&'static str],
    pub(crate) popular: bool,
}

const PLANS: &[SeedPlan] = &[
    SeedPlan {
        plan_id: "vip_month",
        name: "VIP 月卡",
        level: Level::Vip,
        duration_days: 30,
        original_price: 2999,
        current_price: 1999,
        benefits: &["每日 100 张免费生成", "支持 4K 高清", "优先排队"],
        popular: false,
    },
    SeedPlan {
        plan_id: "vip_year",
        name: "VIP 年卡",
        level: Level::Vip,
        duration_days: 365,
        original_price: 29_990,
        current_price: 19_990,
        benefits: &["每日 100 张免费生成", "支持 4K 高清", "优先排队", "比月卡更划算"],
        popular: true,
    },
    SeedPlan {
        plan_id: "svip_lifetime",
        name: "SVIP 终身卡",
        level: Level::Svip,
        duration_days: 36_500,
        original_price: 299_900,
        current_price: 199_900,
        benefits: &["每日 1000 张免费生成", "支持 4K 高清", "最高优先级", "终身有效"],
        popular: false,
    },
];

pub(crate) struct SeedPrompt {
    pub(crate) template_id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) prompt: &'static str,
    pub(crate) category: &'static str,
    pub(crate) is_hot: bool,
}

macro_rules! prompts {
    ($($id:literal $category:literal $hot:literal $title:literal, $description:literal, $prompt:literal;)*) => {
        const PROMPTS: &[SeedPrompt] = &[$(SeedPrompt {
            template_id: $id, title: $title, description: $description, prompt: $prompt, category: $category, is_hot: $hot,
        },)*];
    };
}
prompts! {
    "portrait_film" "portrait" true "胶片人像", "暖色调的胶片质感人像",
        "film portrait of a young woman by a window, warm afternoon light, soft grain, shallow depth of field";
    "portrait_hanfu" "portrait" true "国风汉服", "江南园林中的汉服人像",
        "portrait in flowing hanfu, a Jiangnan garden in light rain, paper umbrella, delicate ink-wash palette";
    "portrait_studio" "portrait" false "影棚肖像", "干净利落的商务肖像",
        "studio headshot, neutral grey backdrop, soft key light, natural skin texture, confident smile";
    "landscape_mist" "landscape" true "云海日出", "山巅云海与第一缕阳光",
        "sunrise above a sea of clouds, layered mountain ridges, golden rim light, wide angle, high detail";
    "landscape_ink" "landscape" false "水墨山水", "传统水墨的山与水",
        "traditional Chinese ink painting of misty mountains and a lone boat, generous negative space";
    "landscape_cyber" "landscape" false "赛博都市", "雨夜霓虹的未来城市",
        "cyberpunk city at night in the rain, neon reflections on wet streets, volumetric fog, cinematic";
    "cartoon_ghibli" "cartoon" true "手绘动画", "温柔的手绘动画场景",
        "hand-painted animation style, a small house on a green hill, summer clouds, gentle wind in the grass";
    "cartoon_chibi" "cartoon" false "Q 版角色", "可爱的 Q 版小人",
        "chibi character with a big smile, clean line art, pastel colours, sticker style, white outline";
    "abstract_fluid" "abstract" false "流体艺术", "流动的色彩与金色脉络",
        "abstract fluid art, swirling teal and magenta, thin golden veins, glossy surface, macro";
    "abstract_geometry" "abstract" false "几何构成", "包豪斯风格的几何构成",
        "Bauhaus-inspired geometric composition, bold primary shapes, textured paper, balanced asymmetry";
}

pub(crate) struct SeedParams {
    pub(crate) template_id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) mode: Mode,
    pub(crate) resolution: Resolution,
    pub(crate) aspect_ratio: AspectRatio,
    pub(crate) sample_count: i64,
}

macro_rules! params {
    ($($id:literal $mode:ident $resolution:ident $aspect:ident $samples:literal $title:literal, $description:literal;)*) => {
        const PARAMS: &[SeedParams] = &[$(SeedParams {
            template_id: $id, title: $title, description: $description, mode: Mode::$mode,
            resolution: Resolution::$resolution, aspect_ratio: AspectRatio::$aspect, sample_count: $samples,
        },)*];
    };
}
params! {
    "quick_draft" Draft OneK R1x1 1 "快速草图", "最快看到效果";
    "draft_grid" Draft OneK R1x1 4 "四宫格草图", "一次比较四个方案";
    "phone_wallpaper" Final TwoK R9x16 1 "手机壁纸", "竖屏 2K 壁纸";
    "desktop_wallpaper" Final TwoK R16x9 1 "桌面壁纸", "宽屏 2K 壁纸";
    "avatar" Final OneK R1x1 2 "社交头像", "方形头像，两张备选";
    "poster" Final TwoK R3x4 1 "竖版海报", "适合打印与分享";
    "cinema" Final FourK R21x9 1 "电影画幅", "4K 超宽画幅";
    "print_4k" Final FourK R4x5 1 "高清打印", "4K 竖版，适合打印";
}

pub(crate) struct SeedImage {
    pub(crate) name: &'static str,
    pub(crate) prompt: &'static str,
    pub(crate) category: &'static str,
    pub(crate) tags: &'static [&'static str],
    bytes: &'static [u8],
}

const IMAGES: &[SeedImage] = &[
    SeedImage {
        name: "dawn",
        prompt: "layered mountain ridges at dawn, soft gradients, minimal",
        category: "landscape",
        tags: &["山", "日出"],
        bytes: include_bytes!("../assets/dawn.png"),
    },
    SeedImage {
        name: "waves",
        prompt: "interfering waves of colour, abstract, luminous",
        category: "abstract",
        tags: &["色彩"],
        bytes: include_bytes!("../assets/waves.png"),
    },
];

/// What planting the seeds did.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// let first = world.dream().plant_seeds().await?;
/// assert_eq!((first.planted, first.left_alone), (23, 0));
/// // At the next start nothing is planted again, also not what an admin removed meanwhile.
/// let again = world.dream().plant_seeds().await?;
/// assert_eq!((again.planted, again.left_alone), (0, 23));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedReport {
    /// Seeds that were new to this database.
    pub planted: usize,
    /// Seeds that had been planted before and were left alone, whatever became of them.
    pub left_alone: usize,
}

struct Planted {
    /// Picture and small copy of each seed that is new; none where it was planted before.
    urls: Vec<Option<(String, String)>>,
    now: Timestamp,
}

impl Change for Planted {
    const NAME: &'static str = "seeds.plant";
    type Out = SeedReport;

    async fn apply(&self, tx: &mut Tx) -> Result<SeedReport> {
        let now = self.now;
        let mut report = SeedReport { planted: 0, left_alone: 0 };
        for plan in PLANS {
            if first_time(tx, "plan", plan.plan_id, now, &mut report).await? {
                vip::insert_plan(tx, plan, now).await?;
            }
        }
        for prompt in PROMPTS {
            if first_time(tx, "prompt", prompt.template_id, now, &mut report).await? {
                templates::insert_prompt_template(tx, prompt, now).await?;
            }
        }
        for params in PARAMS {
            if first_time(tx, "params", params.template_id, now, &mut report).await? {
                templates::insert_param_template(tx, params, now).await?;
            }
        }
        for (image, urls) in IMAGES.iter().zip(&self.urls) {
            if first_time(tx, "image", image.name, now, &mut report).await?
                && let Some((url, thumbnail)) = urls
            {
                gallery::insert_seed(tx, image, url, thumbnail, now).await?;
            }
        }
        Ok(report)
    }
}

async fn first_time(
    tx: &mut Tx,
    kind: &str,
    name: &str,
    now: Timestamp,
    report: &mut SeedReport,
) -> Result<bool> {
    let sql = Sql::new(
        "INSERT INTO planted_seeds (name, planted_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
    );
    let new = tx.execute(sql.bind(format!("{kind}:{name}")).bind(now)).await? == 1;
    if new {
        report.planted += 1;
    } else {
        report.left_alone += 1;
    }
    Ok(new)
}

async fn is_planted(db: &mut impl Db, kind: &str, name: &str) -> Result<bool> {
    let sql = Sql::new("SELECT name FROM planted_seeds WHERE name = $1").bind(format!("{kind}:{name}"));
    Ok(db.optional(sql).await?.is_some())
}

impl Dream {
    /// Plants what a new installation starts with: 3 plans, 10 prompt templates, 8 parameter templates and 2
    /// pictures. Planting twice changes nothing, and what an admin edited or removed stays so.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// // At each start of a program, as `dream` itself does it.
    /// world.dream().plant_seeds().await?;
    /// assert_eq!(world.nobody().plans().await?.len(), 3);
    /// assert_eq!(world.nobody().param_templates().await?.len(), 8);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// `UPSTREAM_ERROR` if the pictures cannot be stored; `UNAVAILABLE` if the database cannot be reached.
    pub async fn plant_seeds(&self) -> Result<SeedReport> {
        let core = &self.core;
        let mut urls = Vec::new();
        for image in IMAGES {
            // One that was removed since took its objects along.
            if is_planted(&mut core.store.db(), "image", image.name).await? {
                urls.push(None);
                continue;
            }
            let small = media::thumbnail(Owner::Service, image.bytes.into()).await?;
            let key = key(image.name, "", PictureKind::Png)?;
            let small_key = key_of(image.name, small.kind)?;
            for (key, kind, bytes) in
                [(&key, PictureKind::Png, image.bytes.into()), (&small_key, small.kind, small.bytes)]
            {
                if core.blobs.head(key).await?.is_none() {
                    core.blobs.put(key, kind.mime(), bytes).await?;
                }
            }
            urls.push(Some((core.blobs.public_url(&key), core.blobs.public_url(&small_key))));
        }
        core.store.run(&Planted { urls, now: core.now() }).await
    }
}

fn key_of(name: &str, kind: PictureKind) -> Result<BlobKey> {
    key(name, "_thumb", kind)
}

fn key(name: &str, suffix: &str, kind: PictureKind) -> Result<BlobKey> {
    format!("seeds/{name}{suffix}.{}", kind.extension())
        .parse()
        .map_err(|_| Error::internal("a seed has no name"))
}
