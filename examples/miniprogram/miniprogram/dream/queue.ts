/** What `wx` can have under way at once. */
const AT_ONCE = 10;
/** How many of them may be long polls, so that they never hold up what somebody taps. */
const PATIENT_AT_ONCE = 6;

interface Waiting {
  patient: boolean;
  begin(): void;
}

/** Lets so many things run at once; the others wait their turn. */
export class Queue {
  private running = 0;
  private patient = 0;
  private readonly waiting: Waiting[] = [];

  constructor(
    private readonly limit = AT_ONCE,
    private readonly patientLimit = PATIENT_AT_ONCE,
  ) {}

  /** Does the work as soon as there is room. `patient` work is such that waits for news. */
  async run<T>(work: () => Promise<T>, patient = false): Promise<T> {
    await this.enter(patient);
    try {
      return await work();
    } finally {
      this.running -= 1;
      if (patient) this.patient -= 1;
      this.next();
    }
  }

  private enter(patient: boolean): Promise<void> {
    return new Promise((begin) => {
      this.waiting.push({ patient, begin });
      this.next();
    });
  }

  private next(): void {
    while (this.running < this.limit) {
      const at = this.waiting.findIndex(({ patient }) => !patient || this.patient < this.patientLimit);
      const [first] = at < 0 ? [] : this.waiting.splice(at, 1);
      if (!first) return;
      this.running += 1;
      if (first.patient) this.patient += 1;
      first.begin();
    }
  }
}
