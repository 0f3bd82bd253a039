// Shows the clients of `webhook-mtls listen`. Names, paths and headers come from strangers: this file puts
// them into the page as text alone, and the page's Content-Security-Policy refuses everything else.

const list = document.getElementById('list');
const shown = document.getElementById('shown');
const detail = document.getElementById('client');
const follow = document.getElementById('follow');

/** The clients by number. A Map keeps the order of insertion: the oldest first. */
const clients = new Map();
const rows = new Map();
let receiver = null;
let chosen = null;
let filter = 'all';

const MARKS = {
  request: { look: 'ok', sign: '✓', word: 'Delivered' },
  no_request: { look: 'warning', sign: '!', word: 'Accepted without a request' },
  refused: { look: 'fault', sign: '✗', word: 'Refused' },
};

/** Makes an element. Children that are no elements become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const mark = (client) => MARKS[client.event] ?? MARKS.refused;

/** A name from a certificate, a path or a header. Letters of another direction do not reorder what is around. */
const foreign = (text, look = '') => element('bdi', { class: look || null }, String(text));

function instant(milliseconds) {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? 'unknown' : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function clock(milliseconds) {
  const date = new Date(milliseconds);
  const text = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  return element('time', { datetime: date.toISOString() }, text);
}

function span(milliseconds) {
  const units = [['day', 86_400_000], ['hour', 3_600_000], ['minute', 60_000], ['second', 1_000]];
  const [unit, size] = units.find(([, size]) => milliseconds >= 2 * size) ?? units.at(-1);
  const count = Math.max(0, Math.floor(milliseconds / size));
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

function title(client) {
  if (client.request) return `${client.request.method} ${client.request.path}`;
  return client.error?.message ?? client.reason ?? mark(client).word;
}

/** The title in a few words, for the list. */
const shortTitle = (client) => client.error?.kind.replaceAll('_', ' ') ?? title(client);

function sender(client) {
  const leaf = client.certificates[0];
  const name = client.peer?.tenant ?? client.peer?.cn ?? leaf?.cn ?? leaf?.subject;
  return name ? `${name}, ${client.address}` : client.address;
}

// The list.

function row(client) {
  const { look, sign, word } = mark(client);
  const button = element(
    'button',
    { type: 'button', class: 'row new', tabindex: '-1' },
    element('span', { class: `sign ${look}`, 'aria-hidden': 'true' }, sign),
    element('span', { class: 'what' }, element('span', { class: 'hidden' }, `${word}: `), foreign(shortTitle(client))),
    clock(client.time_ms),
    element('span', { class: 'who' }, foreign(sender(client))),
  );
  button.addEventListener('click', () => open(client.number));
  button.addEventListener('animationend', () => button.classList.remove('new'));
  return element('li', {}, button);
}

const matches = (client) => filter === 'all' || client.event === filter;
const visible = () => [...list.children].filter((item) => !item.hidden).map((item) => item.firstChild);

function add(client) {
  if (clients.has(client.number)) return;
  clients.set(client.number, client);
  const item = row(client);
  item.hidden = !matches(client);
  rows.set(client.number, item);
  list.prepend(item);
  for (const number of clients.keys()) {
    if (clients.size <= receiver.kept) break;
    clients.delete(number);
    rows.get(number).remove();
    rows.delete(number);
  }
  if (matches(client) && (chosen === null || follow.checked)) choose(client.number);
  summarize();
}

function summarize() {
  const count = (event) => [...clients.values()].filter((client) => client.event === event).length;
  const parts = [`${count('request')} delivered`, `${count('refused')} refused`];
  if (count('no_request')) parts.push(`${count('no_request')} without a request`);
  document.getElementById('count').textContent = clients.size ? parts.join(', ') : '';
  document.getElementById('none').hidden = clients.size === 0 || visible().length > 0;
  const last = Math.max(0, ...clients.keys());
  const older = document.getElementById('older');
  older.hidden = last <= clients.size;
  older.textContent = `The page keeps ${clients.size} of ${last} clients. The terminal has shown all.`;
  // One client takes part in the tab order; arrow keys reach the others.
  const buttons = visible();
  const current = buttons.find((button) => button.getAttribute('aria-current') === 'true') ?? buttons[0];
  for (const button of buttons) button.tabIndex = button === current ? 0 : -1;
  if (clients.size === 0) wait();
}

// The chosen client.

function choose(number) {
  rows.get(chosen)?.firstChild.removeAttribute('aria-current');
  chosen = number;
  rows.get(number)?.firstChild.setAttribute('aria-current', 'true');
  show(clients.get(number));
}

/** Goes to a client, which stays there while others come. */
function open(number) {
  follow.checked = false;
  choose(number);
  summarize();
  document.body.dataset.view = 'client';
  shown.querySelector('h2').focus();
}

function back() {
  delete document.body.dataset.view;
  (rows.get(chosen)?.firstChild ?? visible()[0])?.focus();
}

function show(client) {
  const parts = [verdict(client), chain(client), handshake(client), request(client)];
  shown.replaceChildren(...parts.filter(Boolean));
}

function verdict(client) {
  const { look, sign, word } = mark(client);
  const accepted = client.event === 'request' ? `Answered ${client.status}. ` : '';
  return element(
    'div',
    { class: `panel verdict ${look}` },
    element('p', { class: `word ${look}` }, `${sign} ${word}`),
    element('h2', { tabindex: '-1' }, foreign(title(client))),
    element('p', { class: 'soft' }, accepted, 'From ', foreign(client.address, 'mono'), ' at ', clock(client.time_ms), '.'),
    client.error && element('p', { class: 'do' }, element('b', {}, 'To do: '), foreign(client.error.remedy)),
    client.error && element('p', { class: 'soft' }, 'The error of the verifier is ', element('code', { class: 'mono' }, client.error.kind), '.'),
  );
}

function facts(...pairs) {
  const listed = element('dl', { class: 'facts' });
  for (const [label, value] of pairs) {
    if (value === null || value === undefined || value === '') continue;
    listed.append(element('dt', {}, label), element('dd', {}, value));
  }
  return listed;
}

function pin(text) {
  const button = element('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${text}` }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Not allowed';
    }
  });
  return element('span', { class: 'pin' }, element('code', { class: 'mono' }, text), button);
}

function dates(certificate) {
  const { not_before_ms: from, not_after_ms: to } = certificate;
  const now = Date.now();
  const used = to > from ? Math.min(1, Math.max(0, (now - from) / (to - from))) : 1;
  let look = certificate.date_warning ? 'warning' : 'well';
  let left = `${span(to - now)} left`;
  if (now > to) [look, left] = ['fault', `expired ${span(now - to)} ago`];
  if (now < from) [look, left] = ['fault', `valid in ${span(from - now)}`];
  const line = element('div', { class: 'line', role: 'img', 'aria-label': `${Math.round(used * 100)} % of the lifetime is over` }, element('span'));
  line.firstChild.style.setProperty('--used', `${used * 100}%`);
  return element(
    'div',
    { class: `dates ${look}` },
    line,
    element('div', { class: 'ends' }, element('span', {}, instant(from)), element('span', { class: 'left' }, left), element('span', {}, instant(to))),
  );
}

function purposes(certificate, isLeaf) {
  if (certificate.purposes === null) return [element('span', { class: 'chip' }, 'any purpose')];
  const look = (purpose) => (purpose === 'clientAuth' && isLeaf ? 'chip ok' : 'chip');
  return certificate.purposes.map((purpose) => element('span', { class: look(purpose) }, foreign(purpose)));
}

function rank(certificate, at, client) {
  const path = client.peer?.path;
  if (path && !path.includes(certificate.subject)) return 'sent, and not needed';
  if (at === 0) return 'leaf';
  return certificate.self_issued ? 'root, as sent' : 'intermediate, as sent';
}

function card(certificate, at, client) {
  if (certificate.type !== 'certificate') {
    const why = certificate.error?.message ?? 'It cannot be read.';
    return element('li', { class: 'broken' }, element('div', { class: 'certificate' }, foreign(why)));
  }
  return element(
    'li',
    {},
    element(
      'article',
      { class: 'certificate' },
      element(
        'div',
        { class: 'title' },
        element('span', { class: 'name' }, foreign(certificate.cn ?? certificate.subject)),
        element('span', { class: 'rank' }, rank(certificate, at, client)),
        element('span', { class: 'chips' }, ...purposes(certificate, at === 0), certificate.is_ca && element('span', { class: 'chip' }, 'CA')),
      ),
      dates(certificate),
      facts(
        ['Subject', foreign(certificate.subject)],
        ['Issuer', foreign(certificate.issuer)],
        ['Names', certificate.names.length ? foreign(certificate.names.join(', ')) : null],
        ['Key', `${certificate.key}, signed with ${certificate.signature}`],
        ['Serial', foreign(certificate.serial, 'mono')],
        ['Pin', pin(certificate.spki_pin)],
        ['This alone', at === 0 ? pin(certificate.certificate_pin) : null],
      ),
    ),
  );
}

/** The end of the chain: the CA that was found in the receiver's file, or the reason why there is none. */
function end(client) {
  if (client.peer) {
    const anchor = client.peer.anchor;
    return element(
      'li',
      { class: 'anchor alone' },
      element('div', { class: 'certificate' }, element('span', { class: 'name' }, foreign(anchor)), ' is in the receiver’s file of CAs'),
    );
  }
  const why = client.error?.message ?? client.reason;
  return element('li', { class: 'broken' }, element('div', { class: 'certificate' }, `✗ ${mark(client).word}: `, foreign(why)));
}

function chain(client) {
  const sent = client.certificates;
  const total = client.certificates_sent;
  const heading = total === 0 ? 'No certificate came' : 'Certificate chain';
  if (total === 0 && !client.reason) return null;
  const links = sent.map((certificate, at) => card(certificate, at, client));
  if (!client.peer) links.at(-1)?.classList.add('before-break');
  const note = total > sent.length ? element('p', { class: 'soft' }, `${total - sent.length} more certificates are not shown.`) : null;
  return element('section', { class: 'panel' }, element('h3', {}, heading), element('ol', { class: 'chain' }, ...links, end(client)), note);
}

function handshake(client) {
  if (!client.tls) return null;
  const { version, cipher_suite: suite, key_exchange: group, server_name: name } = client.tls;
  return element(
    'section',
    { class: 'panel' },
    element('h3', {}, 'Handshake'),
    facts(
      ['Version', version],
      ['Suite', suite],
      ['Key exchange', group],
      ['Asked for', name === null ? 'no server name' : foreign(name, 'mono')],
      ['Tenant', client.peer?.tenant ? foreign(client.peer.tenant) : null],
    ),
  );
}

function request(client) {
  if (!client.request) return null;
  const { method, path, headers, length, body, body_cut: isCut } = client.request;
  const lines = headers.map(([name, value]) => element('tr', {}, element('th', { scope: 'row' }, foreign(name)), element('td', { class: 'mono' }, foreign(value))));
  const size = `${length.toLocaleString('en')} byte${length === 1 ? '' : 's'}`;
  return element(
    'section',
    { class: 'panel' },
    element('h3', {}, 'Request'),
    facts(['Method', foreign(method)], ['Path', foreign(path, 'mono')], ['Body', isCut ? `${size}, of which the start is shown` : size]),
    element('table', { class: 'headers' }, element('caption', { class: 'hidden' }, 'Headers'), element('tbody', {}, ...lines)),
    length > 0 && element('pre', { tabindex: '0', 'aria-label': 'Body' }, body),
  );
}

function wait() {
  chosen = null;
  const command = `webhook-mtls deliver https://${receiver?.address ?? '…'}/ \\\n    --cert tls.crt --key tls.key --ca ca.pem \\\n    --allow 127.0.0.0/8 --data '{"hello": 1}'`;
  shown.replaceChildren(
    element(
      'div',
      { class: 'panel waiting' },
      element('h2', {}, 'No client has come yet'),
      element('p', { class: 'soft' }, 'Each client appears here as it comes: who it is, its certificates, and what it sent.'),
      element('pre', { tabindex: '0', 'aria-label': 'A command that delivers to this receiver' }, command),
    ),
  );
}

// The receiver, and the stream of clients.

function introduce(hello) {
  if (receiver?.epoch !== hello.epoch) {
    clients.clear();
    rows.clear();
    list.replaceChildren();
    chosen = null;
  }
  receiver = hello;
  const entry = (label, value) => element('div', {}, element('dt', {}, label), element('dd', {}, value));
  document.getElementById('receiver').replaceChildren(
    entry('Listening on', element('code', { class: 'mono' }, `https://${hello.address}/`)),
    entry('We are', foreign(hello.subject)),
    entry('Accepted are clients of', foreign(hello.ca)),
    entry('Our pin', pin(hello.spki_pin)),
  );
  summarize();
}

function state(name, text) {
  const place = document.getElementById('state');
  place.dataset.state = name;
  place.textContent = text;
}

const stream = new EventSource('/clients');
stream.addEventListener('open', () => state('live', 'live'));
stream.addEventListener('error', () => state('lost', 'The receiver has ended, or the connection is lost'));
stream.addEventListener('hello', (event) => introduce(JSON.parse(event.data)));
stream.addEventListener('client', (event) => add(JSON.parse(event.data)));

// Keys and filters.

for (const input of document.querySelectorAll('input[name="filter"]')) {
  input.addEventListener('change', () => {
    filter = input.value;
    for (const [number, item] of rows) item.hidden = !matches(clients.get(number));
    summarize();
  });
}

list.addEventListener('keydown', (event) => {
  const buttons = visible();
  const at = buttons.indexOf(document.activeElement);
  const targets = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 };
  const target = buttons[targets[event.key]];
  if (at < 0 || !target) return;
  event.preventDefault();
  follow.checked = false;
  const number = [...rows].find(([, item]) => item.firstChild === target)[0];
  choose(number);
  summarize();
  target.focus();
});

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && detail.contains(document.activeElement)) back();
});

document.getElementById('back').addEventListener('click', back);
wait();
