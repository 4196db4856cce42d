import { attempt, dream } from '../../client';
import type { Job } from '../../dream/index';
import { moment, stateOf } from '../../format';

const list = dream.pages('/v1/proxy/jobs', { limit: 20 });

interface Row {
  id: string;
  prompt: string;
  picture: string | null;
  state: string;
  at: string;
}

const rowOf = (job: Job): Row => ({
  id: job.jobId,
  prompt: job.prompt,
  picture: job.thumbnailUrl ?? job.resultUrls[0] ?? null,
  state: stateOf(job.status),
  at: moment(job.createdAt),
});

Page({
  data: {
    rows: [] as Row[],
    loaded: false,
    hasMore: true,
  },

  onShow() {
    void this.read(() => list.refresh());
  },

  async onPullDownRefresh() {
    await this.read(() => list.refresh());
    await wx.stopPullDownRefresh();
  },

  onReachBottom() {
    void this.read(() => list.more());
  },

  async read(work: () => Promise<void>) {
    await attempt(work);
    this.setData({ rows: list.items.map(rowOf), hasMore: list.hasMore, loaded: true });
  },
});
