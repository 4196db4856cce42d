import type { components } from './api';
import { DreamError, errorOf, type Language } from './errors';
import type { Platform } from './platform';
import type { Storage } from './storage';
import type { Answer } from './transport';

export type User = components['schemas']['User'];
/** What a login can bring along: a phone number, a name and a picture. */
export type LoginExtras = Omit<components['schemas']['Login'], 'code'>;

interface Stored {
  token: string;
  user: User;
}

const NAME = 'session';
/** Logins that are tried, each with a code of its own, before one counts as failed. */
const TRIES = 2;
/** Codes of ours that another login can put right. */
const CURABLE: readonly string[] = ['UNAUTHENTICATED', 'TOKEN_EXPIRED', 'TOKEN_REVOKED'];

/** Who is logged in. Logging in needs nobody to tap anything, so it happens when a token is needed. */
export class Session {
  private current: Stored | undefined;
  private underWay: Promise<Stored> | undefined;

  constructor(
    private readonly platform: Platform,
    private readonly storage: Storage,
    private readonly language: Language,
    private readonly send: (body: components['schemas']['Login']) => Promise<Answer>,
    private readonly loginCode: (() => Promise<string>) | undefined,
  ) {
    this.current = storage.get<Stored>(NAME);
  }

  /** The user as of the last login; nobody before the first one. */
  get user(): User | undefined {
    return this.current?.user;
  }

  /** The token, if there is one. */
  get known(): string | undefined {
    return this.current?.token;
  }

  /** A token, after a login if need be. */
  async token(): Promise<string> {
    return (this.current ?? (await this.login())).token;
  }

  /** A token that is not this one, which was refused. Whoever asks meanwhile shares the login. */
  async renew(refused: string): Promise<string> {
    if (this.current && this.current.token !== refused) return this.current.token;
    return (await this.login()).token;
  }

  /** Logs in anew, with what the login brings along. */
  async signIn(extras: LoginExtras): Promise<User> {
    // One under way brings nothing along.
    await this.underWay?.catch(() => undefined);
    return (await this.login(extras)).user;
  }

  forget(): void {
    this.current = undefined;
    this.storage.remove(NAME);
  }

  private login(extras: LoginExtras = {}): Promise<Stored> {
    this.underWay ??= this.loginOnce(extras).finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  private async loginOnce(extras: LoginExtras): Promise<Stored> {
    for (let tried = 1; ; tried += 1) {
      try {
        const answer = await this.send({ ...extras, code: await this.code() });
        if (answer.status !== 200) throw errorOf(answer, this.language);
        const { token, user } = answer.body as components['schemas']['LoginAnswer'];
        this.current = { token, user };
        try {
          this.storage.set(NAME, this.current);
        } catch {
          // Then the next start logs in again.
        }
        return this.current;
      } catch (error) {
        if (tried === TRIES || !(error instanceof DreamError) || !needsOtherCode(error)) throw error;
      }
    }
  }

  private code(): Promise<string> {
    if (this.loginCode) return this.loginCode();
    return new Promise((resolve, reject) => {
      const failed = (detail: string): void => reject(new DreamError('LOGIN_FAILED', { detail }, this.language));
      this.platform.login({
        success: ({ code, errMsg }) => (code ? resolve(code) : failed(errMsg)),
        fail: ({ errMsg }) => failed(errMsg),
      });
    });
  }
}

/** Whether another login is worth a try. */
export function isCurable(error: DreamError): boolean {
  return error.status === 401 && CURABLE.includes(error.code);
}

/** A code works once. If the answer was lost, it may have been used. */
function needsOtherCode(error: DreamError): boolean {
  return error.is('WECHAT_CODE_INVALID') || error.is('NETWORK_FAILED') || error.is('TIMEOUT');
}
