import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { connect } from '#proto/client.ts';
import { policyService } from '#proto/policy.ts';
import { clientTls, readTls, type TlsFiles, type TlsMaterial } from '#proto/tls.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Authority } from './certificates.ts';
import { EngineProcess, expectedPrograms } from './engine-process.ts';
import { pod, policy } from './objects.ts';

const near = pod('near', 'n1', '10.0.0.1');
const web = policy('web');
const SERVER = { subject: '/CN=policy', names: 'IP:127.0.0.1' };

/** An engine that serves nodes on a port of its own. */
class Served extends EngineProcess {
  readonly authority = new Authority(this.folder, 'ca');
  address = '';
  files: TlsFiles = this.authority.issue(SERVER);

  /** Puts the files where the engine looks for them, or changes them there. */
  install(files: TlsFiles): void {
    this.files = {
      ca: join(this.folder, 'in.ca'),
      certificate: join(this.folder, 'in.crt'),
      key: join(this.folder, 'in.key'),
    };
    for (const field of ['ca', 'certificate', 'key'] as const) copyFileSync(files[field], this.files[field]);
  }

  async listen(): Promise<void> {
    this.install(this.files);
    this.write(near, web);
    const { ca, certificate, key } = this.files;
    await this.start('--listen', '127.0.0.1:0', '--tls-ca', ca, '--tls-cert', certificate, '--tls-key', key);
    this.address = (await this.status()).listener!.address!;
  }

  as(material: TlsMaterial) {
    return connect(policyService, this.address, clientTls(material));
  }

  /** Reads the first update for a node. */
  async ask(material: TlsMaterial, node = 'n1') {
    return first(this.as(material), node);
  }

  async told(reader: { readonly program: unknown }, ...manifests: Parameters<typeof expectedPrograms>[0][]) {
    const expected = JSON.stringify(
      expectedPrograms(
        manifests.flatMap((some) => [...some]),
        'n1',
      ),
    );
    await waitFor(() => JSON.stringify(reader.program) === expected, {
      what: 'the programs of these objects',
    });
  }
}

async function first(client: ReturnType<typeof connect<typeof policyService>>, node = 'n1') {
  try {
    for await (const update of client.watch({ node })) return update;
    throw new Error('the stream ended without an update');
  } finally {
    client.close();
  }
}

describe('over mutual TLS', () => {
  test('a node is served with its own certificate, and everything else is refused', async () => {
    await using engine = new Served();
    await engine.listen();
    const { authority } = engine;
    const own = authority.ofNode('n1');
    expect(await engine.ask(own)).toMatchObject({ snapshot: true, endpoints: [{ pod: 'default/near' }] });

    // What is another's, and what is not for nodes.
    await expect(engine.ask(own, 'n2')).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      message: 'node n2: found the certificate of node n1, expected its own',
    });
    const client = engine.as(own);
    await expect(client.getStatus({})).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    await expect(client.explain({})).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    const list = async () => {
      for await (const _ of client.listObjects({}));
    };
    await expect(list()).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    client.close();

    // Certificates of the authority that are not of a node.
    const subjects = [
      '/CN=n1',
      '/CN=system:node:n1',
      '/O=system:nodes/CN=n1',
      '/O=system:masters/CN=system:node:n1',
      '/O=system:nodes/CN=system:node:',
      '/O=system:nodes/CN=system:node:n1/CN=system:node:n2',
    ];
    for (const subject of subjects) {
      await expect(engine.ask(readTls(authority.issue({ subject }))), subject).rejects.toMatchObject({
        code: 'PERMISSION_DENIED',
      });
    }
    // One that has several organizations, as some authorities give them.
    const several = readTls(authority.issue({ subject: '/O=racks/O=system:nodes/CN=system:node:n1' }));
    expect(await engine.ask(several)).toMatchObject({ snapshot: true });

    // Those that do not come as far as a call.
    const unavailable = { code: 'UNAVAILABLE' };
    const stranger = new Authority(engine.folder, 'stranger').ofNode('n1');
    await expect(engine.ask({ ...stranger, ca: own.ca })).rejects.toMatchObject(unavailable);
    await expect(engine.ask({ ...own, ca: stranger.ca })).rejects.toMatchObject(unavailable);
    await expect(engine.ask(authority.ofNode('n1', { days: -1 }))).rejects.toMatchObject(unavailable);
    const nobody = connect(policyService, engine.address, credentials.createSsl(own.ca));
    await expect(first(nobody)).rejects.toMatchObject(unavailable);
    await expect(first(connect(policyService, engine.address))).rejects.toMatchObject(unavailable);
    expect((await engine.status()).subscribers).toEqual([]);
  });

  test('neither an older TLS nor a session from before is taken', async () => {
    await using engine = new Served();
    await engine.listen();
    const { ca, certificate: cert, key } = engine.authority.ofNode('n1');
    const [host, port] = engine.address.split(':') as [string, string];
    const handshake = (options: ConnectionOptions) =>
      new Promise<{ error?: string; session?: Buffer; reused?: boolean }>((resolve) => {
        let session: Buffer | undefined;
        const socket = connectTls({
          host,
          port: Number(port),
          ca,
          cert,
          key,
          servername: '',
          ALPNProtocols: ['h2'],
          ...options,
        });
        socket.on('session', (given: Buffer) => {
          session = given;
        });
        socket.on('error', ({ message }) => resolve({ error: message }));
        // The settings of HTTP/2, which come after the session.
        socket.once('data', () => {
          resolve({ ...(session && { session }), reused: socket.isSessionReused() });
          socket.destroy();
        });
      });
    const { session } = await handshake({});
    expect(session).toBeDefined();
    expect(await handshake({ session: session! })).toMatchObject({ reused: false });
    expect(await handshake({ maxVersion: 'TLSv1.2' })).toMatchObject({
      error: expect.stringMatching(/version/),
    });
  });

  test('certificates that change count for new connections, and streams go on while their authority is there', async () => {
    await using engine = new Served();
    await engine.listen();
    const old = engine.authority.ofNode('n1');
    const reader = engine.read('n1', () => engine.as(old));
    await engine.told(reader, [near, web]);
    const next = new Authority(engine.folder, 'next');
    const renewed = next.ofNode('n1');
    await expect(engine.ask(renewed)).rejects.toMatchObject({ code: 'UNAVAILABLE' });

    // Half of a change: the old ones stay in force, and that is said.
    const files = next.issue({ ...SERVER, days: 3 });
    copyFileSync(files.certificate, engine.files.certificate);
    await waitFor(async () => (await engine.status()).listener!.error!.includes('key'), {
      what: 'the status says it',
    });
    expect((await engine.status()).listener!.error).toMatch(
      /^key: found .*in.key, which is another's, expected the key of/,
    );
    await waitFor(() => engine.log.includes('certificates not changed: key: found'), {
      what: 'the log says it',
    });
    expect(await engine.ask(old)).toMatchObject({ snapshot: true });

    // Both authorities for a while, as it is done.
    const both = join(engine.folder, 'both.ca');
    writeFileSync(both, readFileSync(engine.authority.ca, 'utf8') + readFileSync(next.ca, 'utf8'));
    engine.install({ ...files, ca: both });
    await waitFor(async () => (await engine.status()).listener!.error === '', {
      what: 'the files are in use',
    });
    expect(await engine.ask({ ...renewed, ca: readFileSync(both) })).toMatchObject({ snapshot: true });
    expect(await engine.ask({ ...old, ca: readFileSync(both) })).toMatchObject({ snapshot: true });
    const { certificateEndsAt } = (await engine.status()).listener!;
    expect(certificateEndsAt! * 1_000 - Date.now()).toBeGreaterThan(2 * 86_400_000);

    const more = pod('more', 'n2', '10.0.0.3');
    engine.write(more);
    await engine.told(reader, [near, web, more]);
    expect(reader.ends).toEqual([]);
    expect(reader.receiver.snapshots).toBe(1);

    engine.install(files);
    await waitFor(() => reader.ends.length > 0, { what: 'the end of a stream whose authority is gone' });
    expect(reader.ends[0]).toMatchObject({ code: 'UNAVAILABLE' });
    await waitFor(() => engine.log.includes('"reason":"its authority is not among ours any more"'), {
      what: 'the log says it',
    });
    expect(await engine.ask(renewed)).toMatchObject({ snapshot: true });
    await expect(engine.ask(old)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('a file that can not be used keeps the engine from starting, and is named', async () => {
    await using engine = new Served();
    const { ca, certificate, key } = engine.files;
    const tls = (...files: string[]) => [
      '--listen',
      '127.0.0.1:0',
      ...['--tls-ca', '--tls-cert', '--tls-key'].flatMap((flag, i) => [flag, files[i]!]),
    ];
    const empty = join(engine.folder, 'empty');
    writeFileSync(empty, '');
    const other = engine.authority.issue(SERVER);
    const cases: [string[], RegExp][] = [
      [
        tls('/nonexistent', certificate, key),
        /listen.tls: ca: found \/nonexistent, which can not be read \(ENOENT\)/,
      ],
      [
        tls(empty, certificate, key),
        /listen.tls: ca: found .*empty, in which there is none, expected at least one certificate/,
      ],
      [tls(ca, key, key), /listen.tls: certificate: found .*in which there is none/],
      [tls(ca, certificate, certificate), /listen.tls: key: found .*expected a private key in PEM/],
      [tls(ca, certificate, other.key), /listen.tls: key: found .*which is another's/],
      [
        ['--listen', '127.0.0.1:0'],
        /listen.tls.key: found nothing, expected a file in PEM, here or by --tls-key: TCP is only with mutual TLS/,
      ],
    ];
    for (const [args, message] of cases) {
      engine.spawn(...args);
      expect(await engine.ended).toBe(1);
      expect(engine.log).toMatch(message);
      engine.log = '';
    }
  }, 120_000);
});
