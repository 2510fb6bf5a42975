// The bots as they are shipped: their locked packages, type-checked and compiled.
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const bots = resolve(fileURLToPath(import.meta.url), '../../../../deploy/chatops');
// npm writes this file last.
const done = join(bots, 'node_modules/.package-lock.json');
const run = (program, ...args) => execFileSync(program, args, { cwd: bots, stdio: ['ignore', 2, 2] });

if (!existsSync(done) || statSync(done).mtimeMs < statSync(join(bots, 'package-lock.json')).mtimeMs)
  run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
run(process.execPath, join(bots, 'node_modules/typescript/bin/tsc'), '--project', 'tsconfig.json');
