import type { Command } from 'commander';
import { RpcError } from '#proto/error.ts';
import { margay } from '#proto/generated/policy.js';
import { type Format, paint, printData, type Terminal } from '../output.ts';
import { CliError, type Context, EXIT, outputOption } from '../program.ts';
import { watchOption } from '../watch.ts';
import { withEngine } from './engine.ts';
import { filesOption, loadObjects } from './files.ts';

type Question = margay.policy.v1.IExplainRequest;
type Response = margay.policy.v1.IExplainResponse;

const { ExplainRequest, ExplainResponse } = margay.policy.v1;

/** `margay policy explain`. */
export function explainCommand(policy: Command, context: Context): void {
  policy
    .command('explain')
    .description('May one end connect to another, which rule says so, or what would be needed.')
    .argument('<source>', 'NAMESPACE/POD, POD in namespace default, node/NAME, or an address')
    .argument('<destination>', 'the same')
    .argument(
      '<port>',
      'TCP/80, UDP/dns by the name of a port of the destination, 80 for TCP, other for ICMP and all else',
    )
    .addOption(
      filesOption(
        '-f, --file <path>',
        'ask about the objects of this file or directory, - for standard input, and not the engine; may be repeated',
      ),
    )
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText(
      'after',
      `
Examples:
  margay policy explain shop/web shop/db TCP/5432            by what the engine knows
  margay policy explain -f cluster/ 192.0.2.7 shop/web 443   by files, from an address outside
  margay policy explain node/n1 shop/web TCP/http -o json    from a node, to a port by its name

Exit status: 0 allowed, 1 denied (in some family, or on some number of a named port), 2 the question or the objects
are wrong, 3 the engine does not answer.`,
    )
    .action(
      async (
        source: string,
        destination: string,
        port: string,
        { file, output }: { file?: string[]; output: Format },
      ) => {
        const question = { source, destination, port };
        const response =
          file === undefined ? await askEngine(policy, question) : await askFiles(question, file, context);
        const answers = response.answers ?? [];
        const allowed = answers.every((answer) => answer.allowed);
        if (output === 'table') printAnswers(context.out, response);
        else printData(context.out, output, { allowed, ...toData(response) });
        if (!allowed) throw new CliError('', EXIT.failed);
      },
    );
}

async function askEngine(policy: Command, question: Question): Promise<Response> {
  let response: Response = {};
  await withEngine(policy, async (engine) => {
    response = await engine.explain(question);
  }).catch(asSlip);
  return response;
}

async function askFiles(question: Question, files: readonly string[], context: Context): Promise<Response> {
  const resources = await loadObjects(files, context);
  const { Cluster } = await import('#policy/evaluator/cluster.ts');
  const { answerQuestion } = await import('#policy/daemon/explain.ts');
  try {
    return answerQuestion(new Cluster(resources), ExplainRequest.fromObject(question));
  } catch (error) {
    return asSlip(error);
  }
}

/** What is wrong with the question, and not with the engine. */
function asSlip(error: unknown): never {
  if (error instanceof RpcError && ['INVALID_ARGUMENT', 'NOT_FOUND'].includes(error.code)) {
    throw new CliError(error.message, EXIT.usage, { cause: error });
  }
  throw error;
}

/** Every field that has a meaning where it stands, also those that are false or 0. */
function toData(response: Response): { answers: unknown[] } {
  const { answers } = ExplainResponse.toObject(ExplainResponse.fromObject(response), {
    enums: String,
    defaults: true,
    arrays: true,
  }) as { answers: Record<string, unknown>[] };
  const direction = (verdict: unknown) => {
    const { allowed, reason, rule, isolatedBy, near } = verdict as Record<string, unknown>;
    if (reason === 'RULE') return { allowed, reason, rule: withoutNull(rule as object) };
    return reason === 'ISOLATED' ? { allowed, reason, isolatedBy, near } : { allowed, reason };
  };
  const end = (end: unknown) => {
    const { kind, name, address } = end as Record<string, unknown>;
    return { kind, ...(name !== '' && { name }), ...(address !== '' && { address }) };
  };
  return {
    answers: answers.map(({ source, destination, protocol, port, allowed, egress, ingress, text }) => ({
      source: end(source),
      destination: end(destination),
      protocol,
      port,
      allowed,
      egress: direction(egress),
      ingress: direction(ingress),
      text,
    })),
  };
}

function withoutNull(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null));
}

function printAnswers(out: Terminal, { answers }: Response): void {
  const blocks = (answers ?? []).map(({ text }) =>
    (text ?? '')
      .split('\n')
      .map((line) => colourVerdict(out, line))
      .join('\n'),
  );
  out.write(`${blocks.join('\n\n')}\n`);
}

/** The first word that is a verdict stands out. */
function colourVerdict(out: Terminal, line: string): string {
  return line.replace(/(?<=: )(allowed|denied)/, (word) =>
    paint(out, word === 'allowed' ? 'green' : 'red', word),
  );
}
