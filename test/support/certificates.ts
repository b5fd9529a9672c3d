import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files of one certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** As openssl takes them: `DNS:localhost,IP:127.0.0.1`. */
  names?: string;
  expired?: boolean;
}

/** An authority of its own that signs certificates for tests, by `openssl`. Its files are in a temporary folder. */
export class CertificateAuthority {
  readonly #dir = mkdtempSync(join(tmpdir(), 'sluice-ca-'));
  #made = 0;

  constructor() {
    writeFileSync(this.#path('index.txt'), '');
    const settings = [
      ['[ca]', 'default_ca = own', '[own]', `database = ${this.#path('index.txt')}`, `new_certs_dir = ${this.#dir}`],
      ['rand_serial = yes', 'default_md = sha256', 'unique_subject = no', 'policy = any', '[any]'],
      ['commonName = supplied', '[req]', 'distinguished_name = name', '[name]'],
    ];
    writeFileSync(this.#path('ca.cnf'), settings.flat().join('\n'));
    this.#openssl(['req', '-x509', '-newkey', ...EC, '-nodes', '-subj', '/CN=test authority', '-days', '30'], {
      keyout: 'ca.key',
      out: 'ca.crt',
    });
  }

  /** The file with the authority's own certificate, and its text. */
  get file(): string {
    return this.#path('ca.crt');
  }

  get text(): string {
    return readFileSync(this.file, 'utf8');
  }

  issue({ names = 'DNS:localhost,IP:127.0.0.1', expired = false }: CertificateOptions = {}): CertificateFiles {
    const name = `cert-${++this.#made}`;
    this.#openssl(['req', '-newkey', ...EC, '-nodes', '-subj', `/CN=${name}`], {
      keyout: `${name}.key`,
      out: `${name}.csr`,
    });
    writeFileSync(this.#path(`${name}.ext`), `subjectAltName = ${names}\n`);
    const [from, to] = expired ? ['20200101000000Z', '20200102000000Z'] : ['20200101000000Z', '20991231000000Z'];
    this.#openssl(['ca', '-batch', '-notext', '-startdate', from, '-enddate', to], {
      keyfile: 'ca.key',
      cert: 'ca.crt',
      in: `${name}.csr`,
      extfile: `${name}.ext`,
      out: `${name}.crt`,
    });
    return { cert: this.#path(`${name}.crt`), key: this.#path(`${name}.key`) };
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #path(file: string): string {
    return join(this.#dir, file);
  }

  #openssl(args: readonly string[], files: Record<string, string>): void {
    const named = Object.entries(files).flatMap(([name, file]) => [`-${name}`, this.#path(file)]);
    const [command = '', ...rest] = args;
    execFileSync('openssl', [command, '-config', this.#path('ca.cnf'), ...rest, ...named], { stdio: 'pipe' });
  }
}

const EC = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
