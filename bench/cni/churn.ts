import fs from 'node:fs';
import { createNetns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { Caller, Daemons, makeContainers, objects, PLUGIN } from './world.ts';

const AT_ONCE = 30;
const SAID_EVERY = 1000;

/** What felix keeps of pods that have come and gone: memory, open files and threads while ten thousand do. */
export async function measureChurn(cycles = 10_000): Promise<void> {
  const folder = newTempFolder();
  const node = createNetns();
  for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) node.sysctl(key, 1);
  const containers = makeContainers('x', AT_ONCE);
  const daemons = new Daemons(node, folder, ['10.1.0.0/22', 'fd00:1::/64']);
  const configuration = { cniVersion: '1.0.0', name: 'pods', type: 'margay' };
  const margay = new Caller(node, PLUGIN, configuration, folder, { MARGAY_CNI_SOCKET: daemons.socket });
  try {
    daemons.startPolicy(
      objects(
        containers.map(({ id }) => id),
        50,
      ),
    );
    await daemons.startFelix();
    await daemons.inSync();
    console.log(`\npods come and gone   resident MiB   of that heap and stacks   open files   threads`);
    for (let done = 0, said = 0; ; done += AT_ONCE) {
      if (done >= said || done >= cycles) {
        said += SAID_EVERY;
        const { resident, anonymous, files, threads } = used(daemons.pid);
        console.log(
          `${String(done).padStart(18)}${resident.toFixed(0).padStart(15)}${anonymous.toFixed(0).padStart(26)}${String(files).padStart(13)}${String(threads).padStart(10)}`,
        );
      }
      if (done >= cycles) break;
      await margay.call('ADD', containers);
      await margay.call('DEL', containers);
    }
  } finally {
    margay.close();
    daemons.stop();
    for (const { netns } of containers) netns.remove();
    node.remove();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** MiB, and numbers. */
function used(pid: number): { resident: number; anonymous: number; files: number; threads: number } {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]) / 1024;
  const count = (name: string): number => fs.readdirSync(`/proc/${pid}/${name}`).length;
  return { resident: mib('VmRSS'), anonymous: mib('RssAnon'), files: count('fd'), threads: count('task') };
}
