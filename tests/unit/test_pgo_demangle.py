"""Names of C++ for people, and shorter ones."""

from __future__ import annotations

import pytest

from xtool.pgo.demangle import brief


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("encode", "encode"),
        ("__pyx_pw_3foo_1bar", "__pyx_pw_3foo_1bar"),
        ("function 0x2a", "function 0x2a"),
        ("myoperator<int>(A)", "myoperator<>"),
        ("A::f(int) const", "A::f"),
        ("A::operator*() const", "A::operator*"),
        ("kiwi::impl::Row::insert(kiwi::impl::Row const&, double)", "kiwi::impl::Row::insert"),
        ("void std::vector<int, std::allocator<int> >::push_back(int const&)", "std::vector<>::push_back"),
        ("int sum<double>(std::vector<double> const&)", "sum<>"),
        ("A::f() const", "A::f"),
        ("(anonymous namespace)::S::go(int)", "{anonymous}::S::go"),
        ("main::{lambda(int)#1}::operator()(int) const", "main::{lambda#1}::operator()"),
        ("V<int>::operator[](unsigned long)", "V<>::operator[]"),
        ("std::ostream& operator<< <char>(std::ostream&, char)", "operator<< <>"),
        ("bool operator< <int>(A<int> const&, A<int> const&)", "operator< <>"),
        ("bool operator<(A const&, A const&)", "operator<"),
        ("P<int>::operator->() const", "P<>::operator->"),
        ("A::operator bool() const", "A::operator bool"),
        ("operator new(unsigned long)", "operator new"),
        ("A::operator std::vector<int>() const", "A::operator std::vector<>"),
        ('long double operator"" _km(long double)', 'operator"" _km'),
        ("decltype (a->b) f<A>(A)", "f<>"),
        ("A<(B)3>::f(int (*)(int))", "A<>::f"),
        ("A<1 > 0>::f()", "A<1 > 0>::f()"),
        ("f((", "f(("),
        ("", ""),
        ("()", "()"),
    ],
)
def test_a_short_name(name: str, short: str) -> None:
    assert brief(name) == short
