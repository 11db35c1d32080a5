import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { type AddressKey, parseAddress } from '#datastore/address.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { printRuleset } from '#felix/dataplane/print.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { PolicyReceiver } from '#felix/policy/receiver.ts';
import { Nftables } from '#kernel/nftables/connection.ts';
import { connect } from '#proto/client.ts';
import { policyService } from '#proto/policy.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { median, ms, type Report, type Section, sideBySide, time } from '../kernel/frame.ts';
import { CLIENT, Lane, SERVER, SERVER_INTERFACE } from './lane.ts';

const WATCH = new URL('../../build/bench-watch', import.meta.url).pathname;
const ENGINE = join(import.meta.dirname, 'engine-process.ts');
const PORT = 9000;
const ROUNDS = Number(process.env.ROUNDS ?? 100);
const PODS = 100;

/** From a change of a policy, or of a pod elsewhere, to the verdict that a packet meets; and the first load of it all. */
export const changes: Section = {
  name: 'changes',
  async run(report: Report): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'margay-bench-'));
    const home = createNetns();
    // The client is a pod elsewhere.
    const lane = new Lane('up0');
    lane.router.sysctl('net.netfilter.nf_conntrack_udp_timeout', 1);
    const dataplane = new NftablesDataplane({
      settings: DEFAULT_SETTINGS,
      log: pino({ level: 'silent' }),
      namespace: lane.namespace,
    });
    const stop = new AbortController();
    try {
      const socket = join(folder, 'policy.sock');
      const engine = home.spawn(process.execPath, [ENGINE, socket], { stdio: ['pipe', 'pipe', 'inherit'] });
      const engineLines = lines(createInterface(engine.stdout!));
      await engineLines();
      dataplane.setEndpoint(endpoint('shop/server', SERVER_INTERFACE, [parseAddress(SERVER)!]));
      dataplane.start();
      const receiver = new PolicyReceiver({
        source: connect(policyService, `unix:${socket}`),
        node: 'node-0',
        programs: dataplane.programs,
        log: pino({ level: 'silent' }),
      });
      void receiver.run(stop.signal);
      await waitFor(() => dataplane.programs.endpoints.size > PODS, {
        what: 'the snapshot',
        timeout: 60_000,
      });
      let number = 0;
      for (const [pod, { addresses }] of dataplane.programs.endpoints) {
        if (pod !== 'shop/server') dataplane.setEndpoint(endpoint(pod, `mgy${number++}`, addresses));
      }
      await dataplane.applied([], AbortSignal.timeout(60_000));
      const watch = home.spawn(WATCH, [lane.client.path, lane.server.path, CLIENT, SERVER, String(PORT)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const seen = lines(createInterface(watch.stdout!));
      await seen();
      const run = async (line: string): Promise<number> => {
        engine.stdin!.write(`${line}\n`);
        const begun = Number(await engineLines());
        const [at] = (await seen()).split(' ');
        return (Number(at) - begun) / 1e6;
      };
      const figures: Record<string, number[]> = {};
      const note = async (what: string, line: string): Promise<void> => {
        const took = await run(line);
        figures[what] = [...(figures[what] ?? []), took];
        await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * 30));
      };
      for (let round = 0; round < ROUNDS; round++) {
        engine.stdin!.write('client on\n');
        await engineLines();
        await new Promise((resolve) => setTimeout(resolve, 50));
        await note('a policy that allows', 'policy on');
        await note('a policy that forbids', 'policy off');
        engine.stdin!.write('client off\n');
        await engineLines();
        await new Promise((resolve) => setTimeout(resolve, 50));
        engine.stdin!.write('policy on\n');
        await engineLines();
        await new Promise((resolve) => setTimeout(resolve, 50));
        await note('a pod elsewhere that comes', 'client on');
        await note('a pod elsewhere that goes', 'client off');
        engine.stdin!.write('policy off\n');
        await engineLines();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      watch.kill('SIGKILL');
      print(report, figures, dataplane);
      await firstLoad(report, dataplane, lane);
    } finally {
      stop.abort();
      dataplane.close();
      lane[Symbol.dispose]();
      home.remove();
      rmSync(folder, { recursive: true });
    }
  },
};

function print(report: Report, figures: Record<string, number[]>, dataplane: NftablesDataplane): void {
  report.heading(
    'From a change to the verdict that a packet meets, ms: 10,000 pods, 1,000 policies, 100 pods on the node',
  );
  const { sets, elements, chains, rules } = dataplane.ruleset.desired.count();
  const rows = Object.entries(figures).map(([what, taken]) => {
    const sorted = taken.toSorted((a, b) => a - b);
    const p99 = sorted[Math.floor(sorted.length * 0.99)]!;
    return [
      what,
      report.bar(`${what}, median`, median(taken), { atMost: 5 }),
      report.bar(`${what}, p99`, p99, { atMost: 20 }),
    ];
  });
  report.table(['', 'median', 'p99'], rows);
  report.note(
    `  by way of the engine's stream; a packet every 0.1 ms. The table has ${chains} chains, ${rules} rules, ${sets} sets, ${elements} elements`,
  );
}

/** All of it into an empty kernel, as one transaction, and by `nft -f`. */
async function firstLoad(report: Report, dataplane: NftablesDataplane, lane: Lane): Promise<void> {
  report.heading('First load of that ruleset, ms');
  const text = printRuleset(dataplane.ruleset);
  const { driver } = dataplane;
  const table = dataplane.ruleset.desired.table;
  using other = createNetns();
  using own = Nftables.open(lane.namespace);
  dataplane.unwatch();
  const medians = await sideBySide({
    margay: () => {
      own.commit([{ op: 'delete table', table }]);
      driver.doubt();
      return { load: time(() => driver.apply()) };
    },
    nft: () => {
      other.exec('nft', ['flush', 'ruleset']);
      return { load: time(() => other.exec('nft', ['-f', '-'], { input: text, timeout: 120_000 })) };
    },
  });
  report.table(
    ['', 'median'],
    Object.entries(medians).map(([name, { load }]) => [name, ms(load!)]),
  );
  report.bar('first load against nft -f', medians.margay.load! / medians.nft.load!, { atMost: 1 });
}

function endpoint(pod: string, name: string, addresses: readonly AddressKey[]) {
  return { pod, interface: name, addresses, hostPorts: [] };
}

/** The next line, one call after the other. */
function lines(reader: ReturnType<typeof createInterface>): () => Promise<string> {
  const queue: string[] = [];
  let more = (): void => {};
  reader.on('line', (line) => {
    queue.push(line);
    more();
  });
  return async () => {
    while (queue.length === 0) {
      await new Promise<void>((resolve) => {
        more = resolve;
      });
    }
    return queue.shift()!;
  };
}
