/**
 * The real API server with its etcd, on a loopback address of its own, ready in some seconds. There is no controller and no
 * kubelet: objects are what a test makes them.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Authority } from '#test/policy/daemon/certificates.ts';
import { type Program, programPath } from './binaries.ts';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API says
  readonly body: any;
}

let count = 0;

/** Starts one. To be used with `await using`. */
export async function startCluster(): Promise<Cluster> {
  const cluster = new Cluster();
  try {
    await cluster.startEtcd();
    await cluster.startApiServer();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

export class Cluster implements AsyncDisposable {
  /** For certificates, logs, data. */
  readonly folder = newTempFolder();
  readonly address: string;
  readonly #authority: Authority;
  readonly #admin: ReturnType<Authority['issue']>;
  readonly #agent: Agent;
  #etcd: ChildProcess | undefined;
  #apiServer: ChildProcess | undefined;
  #kubeconfigs = 0;

  constructor() {
    // All of 127.0.0.0/8 is this machine: with an address of its own there are no ports to look for.
    count++;
    this.address = `127.${64 + ((process.pid >> 8) & 63)}.${process.pid & 255}.${count}`;
    this.#authority = new Authority(this.folder, 'ca');
    this.#admin = this.#authority.issue({ subject: '/O=system:masters/CN=admin' });
    const { ca, certificate, key } = this.#admin;
    this.#agent = new Agent({
      keepAlive: true,
      ca: readFileSync(ca),
      cert: readFileSync(certificate),
      key: readFileSync(key),
    });
  }

  get url(): string {
    return `https://${this.address}:6443`;
  }

  /** A user for {@link kubeconfigOf} who may do everything. */
  get administrator(): object {
    const { certificate, key } = this.#admin;
    return { 'client-certificate': certificate, 'client-key': key };
  }

  /** Path of the kubeconfig of an administrator. */
  get kubeconfig(): string {
    return this.kubeconfigOf(this.administrator);
  }

  /** Path of a kubeconfig with this user: `{ token }`, `{ tokenFile }`, certificates. */
  kubeconfigOf(user: object, server = this.url): string {
    const file = join(this.folder, `kubeconfig-${++this.#kubeconfigs}`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server, 'certificate-authority': this.#authority.ca } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  /** The certificate of its authority, in PEM. */
  get ca(): string {
    return this.#authority.ca;
  }

  /** Makes a service account and a token of it, bound to a ClusterRole with these rules. */
  async account(name: string, rules: readonly object[]): Promise<string> {
    const namespace = 'default';
    await this.create('/api/v1/namespaces/default/serviceaccounts', { metadata: { name } });
    await this.grant(name, rules);
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const { body } = await this.request('POST', path, { spec: { expirationSeconds: 3_600 } });
    return body.status.token;
  }

  /** Gives a service account the rules, and no others. */
  async grant(name: string, rules: readonly object[]): Promise<void> {
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    await this.request('DELETE', `${rbac}/clusterroles/${name}`);
    await this.create(`${rbac}/clusterroles`, { metadata: { name }, rules });
    await this.request('DELETE', `${rbac}/clusterrolebindings/${name}`);
    await this.create(`${rbac}/clusterrolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace: 'default' }],
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: whatever the API says
  async create(collection: string, object: object): Promise<any> {
    const { status, body } = await this.request('POST', collection, object);
    if (status !== 201) throw new Error(`POST ${collection}: ${status} ${body.message}`);
    return body;
  }

  /** As the administrator. @throws for what is no answer */
  async request(method: string, path: string, body?: object, type = 'application/json'): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = { 'Content-Length': Buffer.byteLength(text), ...(body && { 'Content-Type': type }) };
    const request = httpsRequest(
      `${this.url}${path}`,
      { method, agent: this.#agent, headers },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(pieces).toString();
          const isJson = response.headers['content-type']?.startsWith('application/json') === true;
          resolve({ status: response.statusCode!, body: isJson ? JSON.parse(text) : { message: text } });
        });
      },
    );
    request.on('error', reject);
    request.end(text);
    return promise;
  }

  async startEtcd(): Promise<void> {
    const client = `http://${this.address}:2379`;
    const peer = `http://${this.address}:2380`;
    this.#etcd = this.#start('etcd', [
      `--data-dir=${this.#data}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ]);
    const isHealthy = async () => {
      const answer = await fetch(`${client}/health`).catch(() => undefined);
      return answer?.ok === true;
    };
    await this.#ready('etcd', this.#etcd, isHealthy);
  }

  /** @param flags more of them, which go before ours */
  async startApiServer(flags: readonly string[] = []): Promise<void> {
    const serving = this.#serving;
    this.#apiServer = this.#start('kube-apiserver', [
      ...flags,
      `--etcd-servers=http://${this.address}:2379`,
      `--bind-address=${this.address}`,
      '--secure-port=6443',
      // Nobody is told this address: it only must not be loopback.
      '--advertise-address=192.0.2.1',
      '--endpoint-reconciler-type=none',
      `--tls-cert-file=${serving.certificate}`,
      `--tls-private-key-file=${serving.key}`,
      `--client-ca-file=${serving.ca}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${serving.accounts}`,
      `--service-account-signing-key-file=${serving.accounts}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--authorization-mode=Node,RBAC',
      // Without controllers no namespace has its account.
      '--disable-admission-plugins=ServiceAccount',
      '--allow-privileged=true',
      '--profiling=false',
    ]);
    const isReady = async () => {
      const answer = await this.request('GET', '/readyz').catch(() => undefined);
      return answer?.status === 200;
    };
    await this.#ready('kube-apiserver', this.#apiServer, isReady);
  }

  /** As by a crash. */
  async killApiServer(): Promise<void> {
    await kill(this.#apiServer);
    for (const sockets of Object.values(this.#agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  async killEtcd(): Promise<void> {
    await kill(this.#etcd);
  }

  /** Copies what etcd has, which must not run. @returns a path for {@link restore} */
  copyData(): string {
    const copy = join(this.folder, 'copy');
    cpSync(this.#data, copy, { recursive: true });
    return copy;
  }

  /** Puts back a copy; etcd must not run. */
  restore(copy: string): void {
    rmSync(this.#data, { recursive: true });
    cpSync(copy, this.#data, { recursive: true });
  }

  /** Has etcd forget all versions but the newest. */
  async compact(): Promise<void> {
    const call = async (path: string, body: object) => {
      const answer = await fetch(`http://${this.address}:2379/v3/kv/${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
      });
      return (await answer.json()) as { readonly header: { readonly revision: string } };
    };
    const { header } = await call('range', { key: btoa('/') });
    await call('compaction', { revision: header.revision, physical: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await kill(this.#apiServer);
    await kill(this.#etcd);
    this.#agent.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #data(): string {
    return join(this.folder, 'etcd');
  }

  /** Made at the first start. */
  get #serving() {
    const accounts = join(this.folder, 'accounts.key');
    if (!existsSync(accounts)) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      writeFileSync(accounts, privateKey.export({ type: 'sec1', format: 'pem' }));
      this.#issued = this.#authority.issue({ subject: '/CN=kube-apiserver', names: `IP:${this.address}` });
    }
    return { ...this.#issued!, accounts };
  }

  #issued: ReturnType<Authority['issue']> | undefined;

  #start(program: Program, args: readonly string[]): ChildProcess {
    // Killed by the kernel when this process ends in any way.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', programPath(program), ...args], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = (data: Buffer) => appendFileSync(this.#log(program), data);
    child.stdout.on('data', log);
    child.stderr.on('data', log);
    return child;
  }

  #log(program: Program): string {
    return join(this.folder, `${program}.log`);
  }

  async #ready(program: Program, child: ChildProcess, isReady: () => Promise<boolean>): Promise<void> {
    const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
    await waitFor(async () => hasEnded() || (await isReady()), {
      what: program,
      timeout: 120_000,
      details: () => this.#endOfLog(program),
    });
    if (hasEnded()) throw new Error(`${program} ended: ${this.#endOfLog(program)}`);
  }

  #endOfLog(program: Program): string {
    const file = this.#log(program);
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-2_000) : '';
  }
}

async function kill(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
