import type { components } from './api';
import { DreamError } from './errors';
import { pause, Stop } from './platform';

export type Job = components['schemas']['Job'];

export interface WatchOptions {
  /** Called with the job as it is found, and whenever its state has changed. */
  onChange?: (job: Job) => void;
}

/** A job that is followed. */
export interface Watch {
  /** The job once it has ended. Fails if it is stopped, or if there is no such job. */
  done: Promise<Job>;
  /** Follows it no longer. */
  stop(): void;
}

/** Seconds that the server holds an answer at most. */
const HELD = 25;
/** Pauses after calls that failed although they may work later. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;
/** After so many failures in a row it is given up. */
const FAILURES = 20;

/** Whether the job has ended. */
export function isFinal(job: Job): boolean {
  return job.status === 'SUCCEEDED' || job.status === 'FAILED' || job.status === 'CANCELED';
}

export function watchJob(look: (wait: number, stop: Stop) => Promise<Job>, options: WatchOptions): Watch {
  const stop = new Stop();
  const done = follow(look, stop, options.onChange ?? (() => {}));
  // Who only listens to changes need not look at how it ends.
  done.catch(() => {});
  return { done, stop: () => stop.stop() };
}

async function follow(
  look: (wait: number, stop: Stop) => Promise<Job>,
  stop: Stop,
  onChange: (job: Job) => void,
): Promise<Job> {
  let last: Job | undefined;
  let failures = 0;
  for (;;) {
    try {
      // The first look does not wait: the page wants to show something.
      const job = await look(last ? HELD : 0, stop);
      failures = 0;
      if (stop.stopped) throw new DreamError('STOPPED');
      if (job.status !== last?.status) onChange(job);
      if (isFinal(job)) return job;
      last = job;
    } catch (error) {
      failures += 1;
      if (stop.stopped || !(error instanceof DreamError) || !mayPass(error) || failures === FAILURES) throw error;
      const wait = error.retryAfter === undefined ? FIRST_PAUSE_MS * 2 ** (failures - 1) : error.retryAfter * 1000;
      await pause(Math.min(wait, LONGEST_PAUSE_MS), stop);
    }
  }
}

/** Phones lose the network, and WeChat ends the requests of programs in the background. */
function mayPass(error: DreamError): boolean {
  return error.status === 0 ? !error.is('STOPPED') : error.status === 429 || error.status >= 500;
}
