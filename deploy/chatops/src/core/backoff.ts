// Waits that grow, with a random part so that many bots do not come back at the same moment.
import { setTimeout as sleep } from 'node:timers/promises';

export class Backoff {
  private failures = 0;

  constructor(private readonly first_ms: number, private readonly longest_ms: number) {}

  reset(): void {
    this.failures = 0;
  }

  next(): number {
    const whole = Math.min(this.longest_ms, this.first_ms * 2 ** Math.min(this.failures, 30));
    this.failures += 1;
    return whole / 2 + Math.random() * whole / 2;
  }

  // Ends at once, without an error, when `signal` does.
  async wait(signal: AbortSignal): Promise<void> {
    await pause(this.next(), signal);
  }
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
