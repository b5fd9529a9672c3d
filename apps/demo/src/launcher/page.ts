/** The page: no framework, no file to copy beside the compiled code. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice: the shop</title>
<style>
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --good: #1f9d61; --bad: #c8372d; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.4rem; margin: 0; }
  p { margin: .25rem 0 1.25rem; opacity: .75; }
  section { border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.25rem; margin-bottom: 1rem; }
  h2 { font-size: 1rem; margin: 0 0 .5rem; }
  code { font-size: .85em; opacity: .7; }
  dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 0; }
  dt { font-size: .8rem; opacity: .7; }
  dd { margin: 0; font-size: 1.6rem; font-variant-numeric: tabular-nums; }
  ul { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; padding: 0; margin: 0; }
  li { border: 1px solid var(--line); border-radius: .5rem; padding: .35rem .7rem; }
  li::before { content: '●'; margin-right: .4rem; color: var(--good); }
  li.down { opacity: .6; } li.down::before { color: var(--bad); }
  button { font: inherit; padding: .5rem .9rem; border-radius: .5rem; border: 1px solid var(--line); cursor: pointer; }
  button:disabled { opacity: .5; cursor: wait; }
  #said { min-height: 1.5em; margin: .75rem 0 0; }
</style>
</head>
<body>
<h1>Sluice: the shop</h1>
<p>Three processes of one NestJS app on one Redis. Press a button and watch.</p>
<section>
  <h2>Try it</h2>
  <button data-do="requests">Send 100 requests for one list</button>
  <button data-do="orders">Place 1,000 orders</button>
  <button data-do="kill">Kill an instance</button>
  <div id="said" role="status"></div>
</section>
<section><h2>Instances</h2><ul id="instances"></ul></section>
<section><h2>Cache <code>@CacheStampedeSafe</code></h2><dl>
  <div><dt>reads</dt><dd id="reads">–</dd></div>
  <div><dt>queries saved</dt><dd id="saved">–</dd></div>
</dl></section>
<section><h2>Orders <code>@TaskHandler('tasks')</code></h2><dl>
  <div><dt>queued</dt><dd id="queued">–</dd></div>
  <div><dt>completed</dt><dd id="completed">–</dd></div>
  <div><dt>dead letters</dt><dd id="dead">–</dd></div>
</dl></section>
<section><h2>Stock <code>@WithLock((order) =&gt; 'stock:' + order.productId)</code></h2><dl>
  <div><dt>in stock</dt><dd id="left">–</dd></div>
  <div><dt>sold</dt><dd id="sold">–</dd></div>
</dl></section>
<section><h2>Daily job <code>@WithLock('daily_job')</code></h2><dl>
  <div><dt>days settled</dt><dd id="days">–</dd></div>
  <div><dt>last settled by</dt><dd id="lastBy">–</dd></div>
  <div><dt>held by</dt><dd id="holder">–</dd></div>
</dl></section>
<script>
  const put = (id, value) => { document.getElementById(id).textContent = typeof value === 'number' ? value.toLocaleString('en') : value; };
  new EventSource('/events').onmessage = ({ data }) => {
    const shop = JSON.parse(data);
    if (shop.error) return put('said', shop.error);
    document.getElementById('instances').replaceChildren(...shop.instances.map(({ name, pid, up }) => {
      const item = document.createElement('li');
      item.textContent = up ? name + ', pid ' + pid : name + ' is down';
      item.className = up ? '' : 'down';
      return item;
    }));
    const { reads, saved, orders, stock, dailyJob } = shop;
    for (const [id, value] of Object.entries({ reads, saved, ...orders, ...stock, days: dailyJob.days })) put(id, value);
    put('lastBy', dailyJob.lastBy || '–');
    put('holder', dailyJob.holder || 'nobody');
  };
  for (const button of document.querySelectorAll('button')) button.onclick = async () => {
    button.disabled = true;
    put('said', '…');
    const answer = await fetch('/' + button.dataset.do, { method: 'POST' }).then((reply) => reply.text()).catch(String);
    put('said', answer);
    button.disabled = false;
  };
</script>
</body>
</html>
`;
