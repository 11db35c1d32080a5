/**
 * Where the API server is and how to speak to it: from a kubeconfig, or from what a pod is given by its cluster.
 *
 * Files are looked at for each request, which is seldom, so that tokens, certificates and kubeconfigs can be changed under
 * a running process.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
// Types only: the package costs tens of megabytes, which nobody should pay who reads a directory.
import type { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { AccessError } from './errors.ts';

export interface CredentialOptions {
  /** Path of a kubeconfig; absent for what the cluster gives a pod. */
  readonly kubeconfig?: string | undefined;
  /** Name of a context in it; absent for the current one. */
  readonly context?: string | undefined;
}

/** What a request takes. */
export interface Access {
  /** `https://10.96.0.1:443`, with the path of a gateway if there is one before it. */
  readonly server: string;
  readonly options: RequestOptions;
}

/** How long a connection may be idle before the kernel asks whether the other end is there, ms. */
const KEEP_ALIVE_MS = 30_000;

/** Plugins that are waited for at once: one that hangs is not started for each attempt that is given up. */
const MOST_UNDER_WAY = 8;

export class Credentials {
  readonly #options: CredentialOptions;
  #loaded: { readonly fingerprint: string; readonly config: KubeConfig } | undefined;
  #agent: { readonly fingerprint: string; readonly agent: HttpAgent | HttpsAgent } | undefined;

  #underWay = 0;
  #latest: Promise<Access> | undefined;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** @throws AccessError */
  get(): Promise<Access> {
    if (this.#latest !== undefined && this.#underWay >= MOST_UNDER_WAY) return this.#latest;
    this.#underWay++;
    this.#latest = this.#find().finally(() => {
      this.#underWay--;
    });
    return this.#latest;
  }

  async #find(): Promise<Access> {
    const object = this.#options.kubeconfig ?? 'the cluster';
    try {
      const config = await this.#load();
      const cluster = config.getCurrentCluster()!;
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      const file = config.getCurrentUser()?.authProvider?.config?.tokenFile;
      if (typeof file === 'string') {
        options.headers = {
          ...options.headers,
          Authorization: `Bearer ${readFileSync(file, 'utf8').trim()}`,
        };
      }
      // A proxy has an agent of its own. The others get one that keeps its connections.
      if (!cluster.proxyUrl) options.agent = this.#keepAgent(cluster.server, options);
      return { server: cluster.server, options };
    } catch (error) {
      if (error instanceof AccessError) throw error;
      const said = error instanceof Error ? error.message : String(error);
      throw new AccessError(object, `no credentials (${said})`, 'what is needed to speak to the API server', {
        cause: error,
      });
    }
  }

  /** Forgets what was found out, for a server that does not want it any more. */
  forget(): void {
    this.#loaded = undefined;
  }

  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = undefined;
  }

  async #load(): Promise<KubeConfig> {
    const { kubeconfig, context } = this.#options;
    const source = kubeconfig === undefined ? environment() : readKubeconfig(kubeconfig);
    if (this.#loaded?.fingerprint === source) return this.#loaded.config;
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    if (kubeconfig === undefined) config.loadFromCluster();
    else {
      loadText(config, source, kubeconfig);
      config.makePathsAbsolute(dirname(resolve(kubeconfig)));
      adoptTokenFiles(config, source, kubeconfig);
      if (context !== undefined) config.setCurrentContext(context);
      check(config, kubeconfig);
    }
    // It wants to be told that nothing is to be verified where there is nothing to verify.
    for (const cluster of config.clusters) {
      if (cluster.server.startsWith('http:')) Object.assign(cluster, { skipTLSVerify: true });
    }
    this.#loaded = { fingerprint: source, config };
    return config;
  }

  /** The same agent for as long as what it is made of stays the same. */
  #keepAgent(server: string, options: RequestOptions): HttpAgent | HttpsAgent {
    const { ca, cert, key, servername, rejectUnauthorized } = options;
    const tls = Object.fromEntries(
      Object.entries({ ca, cert, key, servername, rejectUnauthorized }).filter(
        ([, value]) => value !== undefined,
      ),
    );
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([server, tls]))
      .digest('base64');
    if (this.#agent?.fingerprint === fingerprint) return this.#agent.agent;
    const settings = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, timeout: 0 };
    const agent = server.startsWith('http:')
      ? new HttpAgent(settings)
      : new HttpsAgent({ ...settings, ...tls });
    if (this.#agent !== undefined) retire(this.#agent.agent);
    this.#agent = { fingerprint, agent };
    return agent;
  }
}

/** Requests that are under way end on their connections; none of these is kept. */
function retire(agent: HttpAgent | HttpsAgent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets))
    for (const socket of sockets ?? []) socket.destroy();
}

/** @throws AccessError outside of a pod */
function environment(): string {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  if (!host || !port) {
    throw new AccessError(
      'KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT',
      'nothing',
      'the address that a cluster gives its pods; elsewhere, name a kubeconfig',
    );
  }
  return `${host} ${port}`;
}

function readKubeconfig(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const found = code === 'ENOENT' ? 'nothing' : `what can not be read (${code})`;
    throw new AccessError(file, found, 'a kubeconfig', { cause: error });
  }
}

/** What a parser of YAML says shows the lines around a mistake, in which there are tokens and keys: of its words only these are told. */
function loadText(config: KubeConfig, source: string, file: string): void {
  try {
    config.loadFromString(source);
  } catch (error) {
    const { reason, mark } = error as {
      readonly reason?: unknown;
      readonly mark?: { readonly line: number };
    };
    if (mark === undefined) throw error;
    // Not as its cause: that is printed too.
    throw new AccessError(file, `no YAML (line ${mark.line + 1}: ${reason})`, 'a kubeconfig');
  }
}

/** Says where a mistake is and shows nothing of the text. */
const PLAIN = { prettyErrors: false, logLevel: 'error' } as const;

/** `tokenFile` of users, which the package does not know by the name that kubectl has for it. */
function adoptTokenFiles(config: KubeConfig, source: string, file: string): void {
  const { users } = (parse(source, PLAIN) ?? {}) as {
    readonly users?: readonly { readonly name?: string; readonly user?: { readonly tokenFile?: string } }[];
  };
  for (const { name, user } of users ?? []) {
    if (typeof user?.tokenFile !== 'string') continue;
    const tokenFile = resolve(dirname(resolve(file)), user.tokenFile);
    const known = config.users.find((other) => other.name === name);
    if (known !== undefined)
      Object.assign(known, { authProvider: { name: 'tokenFile', config: { tokenFile } } });
  }
}

/** @throws AccessError for a kubeconfig that names what it does not have */
function check(config: KubeConfig, file: string): void {
  const current = config.getCurrentContext();
  const names = config.contexts.map(({ name }) => name).join(', ') || 'none';
  if (!current || config.getContextObject(current) === null) {
    throw new AccessError(file, `context ${JSON.stringify(current ?? '')}`, `one of its contexts: ${names}`);
  }
  const { cluster, user } = config.getContextObject(current)!;
  if (config.getCurrentCluster() === null) {
    throw new AccessError(
      file,
      `context ${current} of cluster ${JSON.stringify(cluster)}`,
      'a cluster that is in it',
    );
  }
  if (user && config.getCurrentUser() === null) {
    throw new AccessError(file, `context ${current} of user ${JSON.stringify(user)}`, 'a user who is in it');
  }
}
