//! `dream vip …`.

use dream_core::vip::VipTerm;

use super::Desk;
use super::user::show;
use crate::args::{Term, Vip as Args};
use crate::exit::{Exit, Trouble};
use crate::output::Output;

pub(super) async fn run(args: Args, output: Output) -> Result<Exit, Trouble> {
    let desk = Desk::open().await?;
    let changed = match args {
        Args::Set { user, level, term, reason, signature } => {
            let admin = desk.dream.operator(signature.actor);
            admin.set_vip(user, level, term_of(&term)?, reason.as_deref()).await
        }
        Args::Cancel { user, reason, signature } => {
            desk.dream.operator(signature.actor).cancel_vip(user, reason.as_deref()).await
        }
    };
    desk.close().await;
    show(changed?, output)?;
    Ok(Exit::Done)
}

fn term_of(term: &Term) -> Result<VipTerm, Trouble> {
    match (term.days, term.until) {
        (Some(days), _) => Ok(VipTerm::Days(days)),
        (None, Some(until)) => Ok(VipTerm::Until(until)),
        (None, None) => Err(Trouble::new(Exit::Usage, "USAGE", "--days or --until is needed")),
    }
}
