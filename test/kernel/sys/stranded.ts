/** Loses the way back from a network namespace: run by namespace.test.ts, to see the process end. */
import fs from 'node:fs';
import { isMainThread, Worker } from 'node:worker_threads';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';

if (process.argv[2] === 'worker' && isMainThread) {
  new Worker(new URL(import.meta.url), { argv: ['worker'] });
  setInterval(() => {}, 1000);
} else {
  const home = fs.readlinkSync('/proc/thread-self/ns/net');
  const namespace = NetworkNamespace.anonymous();
  namespace.run(() => {
    for (const fd of fs.readdirSync('/proc/self/fd')) {
      if (target(fd) === home) fs.closeSync(Number(fd));
    }
    fs.writeSync(1, 'inside\n');
  });
  fs.writeSync(1, 'still running in the wrong namespace\n');
}

function target(fd: string): string | undefined {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // The folder's own descriptor, closed again.
  }
}
