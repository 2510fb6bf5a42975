// What a test waits for: something it can look at, looked at again at each change.
import { EventEmitter } from 'node:events';

const PATIENCE_MS = 60_000;

export class Changes extends EventEmitter {
  constructor() {
    super();
    this.setMaxListeners(100);
  }

  changed() {
    this.emit('change');
  }

  // The first true value of `look`.
  until(look, what = String(look), patience_ms = PATIENCE_MS) {
    return new Promise((done, fail) => {
      const check = () => {
        let found;
        try {
          found = look();
        } catch (error) {
          finish();
          fail(error);
          return;
        }
        if (!found) return;
        finish();
        done(found);
      };
      const finish = () => {
        clearTimeout(timer);
        this.off('change', check);
      };
      const timer = setTimeout(() => {
        finish();
        fail(new Error(`it did not happen: ${what}`));
      }, patience_ms);
      this.on('change', check);
      check();
    });
  }
}
