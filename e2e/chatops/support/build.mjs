// The bots as they are shipped: their locked packages, type-checked and compiled; and the tests' own packages.
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const tests = resolve(fileURLToPath(import.meta.url), '../..');
const bots = resolve(tests, '../../deploy/chatops');
const run = (folder, program, ...args) => execFileSync(program, args, { cwd: folder, stdio: ['ignore', 2, 2] });

for (const folder of [bots, tests]) {
  const done = join(folder, 'node_modules/.package-lock.json'); // npm writes it last
  if (!existsSync(done) || statSync(done).mtimeMs < statSync(join(folder, 'package-lock.json')).mtimeMs)
    run(folder, 'npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
}
run(bots, process.execPath, join(bots, 'node_modules/typescript/bin/tsc'), '--project', 'tsconfig.json');
