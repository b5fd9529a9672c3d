/** The shop's tables. */
export const SCHEMA = `
create table categories (id int primary key, name text not null);
create table products (
  id int primary key,
  category_id int not null references categories,
  name text not null,
  price_cents int not null check (price_cents > 0),
  initial_stock int not null,
  stock int not null check (stock >= 0),
  -- The newest fencing token that changed the stock: an older one is refused.
  stock_fence bigint not null default 0
);
create table customers (id int primary key, name text not null);
-- A year of what was sold before this shop had a queue.
create table sales (
  product_id int not null,
  customer_id int not null,
  quantity int not null,
  amount_cents int not null,
  sold_on date not null
);
create index on sales (customer_id);
create table settlements (
  day bigint primary key,
  revenue_cents bigint not null,
  orders int not null,
  settled_by text not null,
  fence bigint not null,
  -- How often the job ran for this day. More than once would be a broken lock.
  runs int not null default 1
);
create table bounces (address text primary key, reason text not null);
create table campaigns (
  name text primary key,
  sent int not null,
  failed int not null,
  -- How often the end of the campaign was told.
  reports int not null default 1
);
create table search_index (product_id int primary key, name text not null, price_cents int not null);
create table stock_reports (
  -- The schedule and its instant.
  id text primary key,
  at bigint not null,
  items int not null,
  written_by text not null
);
create table orders (
  -- The task's id: the same through every retry, and after a crash.
  id text primary key,
  product_id int not null references products,
  customer_id int not null references customers,
  quantity int not null,
  amount_cents int not null,
  placed_at timestamptz not null default now(),
  settled_on bigint references settlements
);
`;
