from xt_pgo import _counts, _pairs, _sums


def work(rounds):
    total = 0
    for number in range(rounds):
        total += _counts.steps(number % 97) + _pairs.best(number) + _sums.squares(number % 13)
    return total
