! Fortran that leans on libgfortran: matmul, formatted and list-directed records, files, clocks, random numbers.
subroutine compute(n, path, length, trace, text) bind(c)
  use iso_c_binding
  integer(c_int), value :: n, length
  character(kind=c_char), intent(in) :: path(length)
  real(c_double), intent(out) :: trace
  character(kind=c_char), intent(out) :: text(80)
  real(c_double), allocatable :: a(:, :), b(:, :), c(:, :), x(:)
  real(c_double) :: read_back(3)
  complex(c_double) :: z
  character(len=length) :: name
  character(len=80) :: line
  integer :: i, j, ticks
  allocate (a(n, n), b(n, n), c(n, n), x(100))
  do j = 1, n
    do i = 1, n
      a(i, j) = i + 0.5d0*j
      b(i, j) = merge(2d0, 0d0, i == j)
    end do
  end do
  c = matmul(a, transpose(b))
  trace = sum([(c(i, i), i=1, n)])
  name = transfer(path, name)
  open (unit=20, file=name, status='replace', action='readwrite')
  write (20, *) trace, -2.25d3, n
  rewind (20)
  read (20, *) read_back
  close (20, status='delete')
  call random_number(x)
  call system_clock(ticks)
  z = exp((0d0, 1d0)*acos(-1d0))
  write (line, '(f10.3, es12.4, i4, f6.1, 2l2, f5.1)') read_back(1), -trace, int(read_back(3)), &
    read_back(2)/100, all(x >= 0 .and. x < 1), ticks >= 0, real(z)
  do i = 1, 80
    text(i) = line(i:i)
  end do
end subroutine
