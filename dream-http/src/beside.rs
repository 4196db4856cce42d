//! Answering for a server that is not ours, so that `/v1` can stand beside somebody else's routes.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Phase};
use crate::reply::Payload;
use crate::{server, stack};

impl App {
    /// Answers a request that came in at a server of one's own, from the peer of this address. It never fails, and the
    /// answer is whole: error envelope, request id, limits, access log and all.
    ///
    /// What belongs to connections is the server's own business: how long a client may be silent, how large a head may
    /// be, and how many there are. [`App::keep`] has to run meanwhile.
    pub async fn answer(self: &Arc<Self>, peer: IpAddr, request: Request<Incoming>) -> Response<Payload> {
        let Ok(response) = stack::serve(self, peer, request).await;
        response
    }

    /// Does what has to be done beside [`App::answer`], until `shutdown` is over: says that it is ready, and drops kept
    /// answers as news of changes come in. Then it says that it is not ready any more, and returns when the writes
    /// whose clients left have run to their end, or when the time for that is over. A [`crate::Server`] does all of
    /// this by itself.
    pub async fn keep(self: Arc<Self>, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        self.enter(Phase::Serving);
        tokio::join!(server::tidy(Arc::clone(&self), stop.clone()), async {
            shutdown.await;
            self.enter(Phase::Draining);
            stop.cancel();
        });
        server::finish(&self, &TaskTracker::new()).await;
    }
}
