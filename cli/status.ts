import { Command, Option } from 'commander';
import { bgpService } from '#proto/bgp.ts';
import { connect } from '#proto/client.ts';
import { felixService } from '#proto/felix.ts';
import { margay as bgp } from '#proto/generated/bgp.js';
import { margay as felix } from '#proto/generated/felix.js';
import { margay as policy } from '#proto/generated/policy.js';
import { policyService } from '#proto/policy.ts';
import { type Format, printData } from './output.ts';
import { CliError, type Context, EXIT, outputOption } from './program.ts';
import { DAEMONS, type DaemonName, type NodeStatus, printStatus } from './status-view.ts';
import { watchOption } from './watch.ts';

/** How long a daemon may take to answer, in ms. */
const PATIENCE = 3000;

/** `margay status`: this node on one screen. */
export function statusCommand(context: Context): Command {
  const status = new Command('status').description(
    'This node on one screen: daemons, sessions, routes, pods, policy, and what is wrong.',
  );
  for (const name of DAEMONS) {
    status.addOption(
      new Option(`--${name}-socket <path>`, `unix socket of margay ${name}`)
        .default(`/run/margay/${name}.sock`)
        .env(`MARGAY_${name.toUpperCase()}_SOCKET`),
    );
  }
  return status
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText(
      'after',
      `
Exit status: 0 if all daemons answer, 3 if one does not.

Example:
  margay status --watch`,
    )
    .action(async (options: { readonly output: Format } & Record<`${DaemonName}Socket`, string>) => {
      const found = await askAll({
        bgp: options.bgpSocket,
        policy: options.policySocket,
        felix: options.felixSocket,
      });
      if (options.output === 'table') printStatus(context.out, found, context.now());
      else printData(context.out, options.output, toData(found));
      if (DAEMONS.some((name) => found[name].missing !== undefined)) throw new CliError('', EXIT.unreachable);
    });
}

async function askAll(sockets: Readonly<Record<DaemonName, string>>): Promise<NodeStatus> {
  const [bgpAnswer, policyAnswer, felixAnswer] = await Promise.all([
    ask(sockets.bgp, async (address) => {
      const speaker = connect(bgpService, address);
      try {
        const options = { timeoutMs: PATIENCE };
        const [status, { neighbors }] = await Promise.all([
          speaker.getStatus({}, options),
          speaker.listNeighbors({}, options),
        ]);
        return { status, neighbors };
      } finally {
        speaker.close();
      }
    }),
    ask(sockets.policy, async (address) => {
      const engine = connect(policyService, address);
      try {
        return await engine.getStatus({}, { timeoutMs: PATIENCE });
      } finally {
        engine.close();
      }
    }),
    ask(sockets.felix, async (address) => {
      const agent = connect(felixService, address);
      try {
        const options = { timeoutMs: PATIENCE };
        const [status, { endpoints }] = await Promise.all([
          agent.getStatus({}, options),
          agent.listEndpoints({}, options),
        ]);
        return { status, endpoints };
      } finally {
        agent.close();
      }
    }),
  ]);
  return { bgp: bgpAnswer, policy: policyAnswer, felix: felixAnswer };
}

/** What a daemon answers, or that and where it does not. */
async function ask<T>(
  socket: string,
  work: (address: string) => Promise<T>,
): Promise<{ readonly answer?: T; readonly missing?: string }> {
  try {
    return { answer: await work(`unix:${socket}`) };
  } catch (error) {
    // What the connection says of it is long, and the same in other words.
    const why = /ENOENT/.test(String(error))
      ? 'no such socket'
      : /ECONNREFUSED/.test(String(error))
        ? 'nobody listens'
        : /EACCES|EPERM/.test(String(error))
          ? 'permission denied: run it as root'
          : error instanceof Error
            ? error.message.replace(`unix:${socket}: `, '')
            : String(error);
    return { missing: `${socket}: ${why}` };
  }
}

function toData({ bgp: b, policy: p, felix: f }: NodeStatus): unknown {
  const plain = (type: unknown, message: object): unknown =>
    (type as { toObject(message: object, options: object): unknown }).toObject(message, {
      enums: String,
      defaults: true,
      arrays: true,
    });
  return {
    bgp: b.answer
      ? {
          ...(plain(bgp.bgp.v1.Status, b.answer.status) as object),
          neighbors: b.answer.neighbors.map((each) => plain(bgp.bgp.v1.Neighbor, each)),
        }
      : { missing: b.missing },
    policy: p.answer ? plain(policy.policy.v1.Status, p.answer) : { missing: p.missing },
    felix: f.answer
      ? {
          ...(plain(felix.felix.v1.Status, f.answer.status) as object),
          endpoints: f.answer.endpoints.map((each) => plain(felix.felix.v1.Endpoint, each)),
        }
      : { missing: f.missing },
  };
}
