# Purpose: who waits for which failed calculations that `molsieve retry` ordered to be repeated.
# Inputs: the orders in force (`retry_orders`), and what each frozen dataset waited for
# Outputs: receipts of orders, as inputs of the rules that use the repeated labels
from molsieve.retries.orders import orders_before_dataset


def receipts_of(orders):
    return [
        f"<results>/retries/{order.number}/receipts/{shard}.parquet"
        for order in orders
        for shard in range(order.shards)
    ]


def all_retries(wildcards):
    """Receipts of every order of `molsieve retry`."""
    return receipts_of(retry_orders)


def retries_before_dataset(wildcards):
    """Receipts of the retries that a round's dataset waits for, never more for a frozen one."""
    return receipts_of(orders_before_dataset(retry_orders, ROUNDS.parent, int(wildcards.round)))


def retries_of_references(wildcards):
    """Receipts of the retries of measured systems at the wildcard's level."""
    return receipts_of(o for o in retry_orders if o.references and o.level == wildcards.level)


def retries_of_hits(wildcards):
    """Receipts of the retries of a round's hits at the wildcard's level."""
    return receipts_of(
        order
        for order in retry_orders
        if int(wildcards.round) in order.hits and order.level == wildcards.level
    )


def order_of(wildcards):
    """The order that a retry job works off."""
    return next(order for order in retry_orders if order.number == int(wildcards.order))
