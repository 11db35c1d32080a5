/** The engine as a process, with a directory of objects, asked over its socket. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFailed } from 'vitest';
import { keyOf, type Resource } from '#datastore/resource.ts';
import { connect, type RpcClient } from '#proto/client.ts';
import { RpcError } from '#proto/error.ts';
import type { margay } from '#proto/generated/policy.js';
import { policyService } from '#proto/policy.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { type Manifest, nameOf, resourcesOf, toYaml } from '../clusters.ts';
import { CompiledCluster, describeProgram, puts } from '../compiled.ts';
import { Receiver } from '../stream/receiver.ts';

const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

export type Client = RpcClient<typeof policyService>;

export class EngineProcess implements AsyncDisposable {
  readonly folder = newTempFolder();
  readonly objects = join(this.folder, 'objects');
  readonly socket = join(this.folder, 'run', 'policy.sock');
  readonly #clients: Client[] = [];
  readonly #abort = new AbortController();
  #child: ChildProcess | undefined;
  #ended: Promise<number | null> = Promise.resolve(null);
  log = '';

  constructor() {
    mkdirSync(this.objects);
    onTestFailed(() => console.error(`log of the engine:\n${this.log.slice(-8_000)}`));
  }

  /** Starts it without waiting for anything. */
  spawn(...args: string[]): void {
    const objects = args.includes('--kubeconfig') ? [] : ['--datastore', this.objects];
    const child = spawn(process.execPath, [MAIN, 'policy', ...objects, '--socket', this.socket, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('close', (code) => resolve(code)));
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.log = (this.log + text).slice(-256 * 1024);
      });
    }
  }

  /** Starts it and waits until it answers. */
  async start(...args: string[]): Promise<void> {
    this.spawn(...args);
    await waitFor(async () => (await this.status()).version !== '' || this.#child!.exitCode !== null, {
      what: 'the engine answers',
      timeout: 45_000,
      details: () => this.log,
    });
  }

  /** Sends a signal and waits for the end. @returns the exit status, null if the signal ended it */
  async kill(signal: NodeJS.Signals): Promise<number | null> {
    if (this.isRunning) this.#child!.kill(signal);
    return this.#ended;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child!.kill(signal);
  }

  /** Waits for the end. */
  get ended(): Promise<number | null> {
    return this.#ended;
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  async status(): Promise<margay.policy.v1.Status> {
    const client = this.client();
    try {
      return await client.getStatus({}, { timeoutMs: 2_000 });
    } finally {
      client.close();
    }
  }

  client(): Client {
    const client = connect(policyService, `unix:${this.socket}`);
    this.#clients.push(client);
    return client;
  }

  /** Reads the programs of a node, and goes on after the connection broke, as a node agent does. */
  read(node: string, connectTo: () => Client = () => this.client()): NodeReader {
    return new NodeReader(node, connectTo, this.#abort.signal);
  }

  /** Puts an object into a file of its own, in one step. */
  write(...manifests: readonly Manifest[]): void {
    for (const manifest of manifests) this.writeText(fileOf(manifest), toYaml([manifest]));
  }

  writeText(file: string, text: string | Buffer): void {
    writeFileSync(join(this.objects, '.new'), text);
    renameSync(join(this.objects, '.new'), join(this.objects, file));
  }

  remove(...manifests: readonly Manifest[]): void {
    for (const manifest of manifests) rmSync(join(this.objects, fileOf(manifest)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    for (const client of this.#clients) client.close();
    await this.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What a node has been told, over however many connections. */
export class NodeReader {
  readonly receiver = new Receiver();
  /** What was in force after each commit. */
  readonly states: unknown[] = [];
  /** What ended each of its calls that ended. */
  readonly ends: RpcError[] = [];
  readonly finished: Promise<void>;
  #failure: unknown;

  constructor(node: string, connectTo: () => Client, signal: AbortSignal) {
    this.finished = this.#run(node, connectTo, signal).catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** @throws what the receiver complained of */
  get program(): unknown {
    if (this.#failure !== undefined) throw this.#failure;
    return describeProgram(this.receiver.program);
  }

  async #run(node: string, connectTo: () => Client, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const client = connectTo();
      this.receiver.connect();
      try {
        for await (const update of client.watch({ node }, { signal })) {
          if (this.receiver.receive(update)) this.states.push(this.program);
        }
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        this.ends.push(error);
      } finally {
        client.close();
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** What a node should have. */
export function expectedPrograms(manifests: Iterable<Manifest>, node: string): unknown {
  const resources = new Map(resourcesOf([...manifests]).map((one): [string, Resource] => [keyOf(one), one]));
  const compiled = new CompiledCluster([node]);
  compiled.apply(puts([...resources.values()]));
  return describeProgram(compiled.programs.get(node)!);
}

function fileOf(manifest: Manifest): string {
  return `${nameOf(manifest).replaceAll('/', '_')}.yaml`;
}
