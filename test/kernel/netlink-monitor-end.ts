/** A process that ends with a monitor open, in the way that its argument says: run by netlink-monitor.test.ts. */
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { NetlinkMonitor } from '#kernel/netlink/monitor.ts';
import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';

const way = process.argv[2];

if (way !== 'terminate') {
  listen(end);
} else if (isMainThread) {
  const parent = new Worker(new URL(import.meta.url), { argv: [way] });
  parent.on('message', () => void parent.terminate().then(end));
} else {
  listen(() => parentPort?.postMessage('listening'));
}

/** Calls `onWork` when the monitor's thread is at work. */
function listen(onWork: () => void): void {
  const namespace = NetworkNamespace.anonymous();
  const onMessage = (): void => {
    if (way === 'unref') monitor.unref();
    // By then the thread waits for more. (If it does not yet, it ends all the more easily.)
    setTimeout(onWork, 200);
  };
  const monitor = NetlinkMonitor.open(
    [{ protocol: 0, groups: [1], namespace, onMessage, onOverflow: () => {} }],
    () => {},
  );
  const rt = Rtnetlink.open(namespace);
  rt.links.set('lo', { up: true });
  rt.close();
}

function end(): void {
  if (way === 'exit') process.exit(3);
  if (way === 'throw') throw new Error('nobody catches this');
}
