! What reaches deep into libgfortran: allocation, matmul, formatted and list-directed output, random numbers,
! files, and quad precision.
subroutine multiply(n, trace, text) bind(c)
  use iso_c_binding
  integer(c_int), value :: n
  real(c_double), intent(out) :: trace
  character(kind=c_char), intent(out) :: text(80)
  real(c_double), allocatable :: a(:, :), b(:, :), c(:, :)
  character(len=80) :: line
  integer :: i, j
  allocate (a(n, n), b(n, n))
  do j = 1, n
    do i = 1, n
      a(i, j) = i + 0.5d0*j
      b(i, j) = merge(2d0, 0d0, i == j)
    end do
  end do
  c = matmul(a, b)
  trace = sum([(c(i, i), i=1, n)])
  write (line, '(a, f10.3, 1x, es12.4, 1x, i0, 1x, l1)') 'trace', trace, -trace, n, .true.
  do i = 1, 80
    text(i) = line(i:i)
  end do
end subroutine

subroutine files(path, length, total) bind(c)
  use iso_c_binding
  integer(c_int), value :: length
  character(kind=c_char), intent(in) :: path(length)
  real(c_double), intent(out) :: total
  character(len=length) :: name
  real(c_double) :: numbers(3)
  integer :: i
  logical :: there
  do i = 1, length
    name(i:i) = path(i)
  end do
  open (unit=20, file=name, status='replace', action='write')
  write (20, *) 1.5d0, -2.25d3, 7
  close (20)
  inquire (file=name, exist=there)
  open (unit=20, file=name, status='old', action='read')
  read (20, *) numbers
  close (20)
  total = sum(numbers) + merge(0d0, 1d9, there)
end subroutine

subroutine quad(text) bind(c)
  use iso_c_binding
  character(kind=c_char), intent(out) :: text(80)
  integer, parameter :: q = selected_real_kind(30)
  real(q) :: two
  character(len=3) :: given = "2.0"
  character(len=80) :: line
  integer :: i
  read (unit=given, fmt=*) two
  write (line, '(f36.32, f36.32)') sqrt(two), exp(two)
  do i = 1, 80
    text(i) = line(i:i)
  end do
end subroutine

function dice(n) bind(c) result(mean)
  use iso_c_binding
  integer(c_int), value :: n
  real(c_double) :: mean
  real(c_double), allocatable :: x(:)
  allocate (x(n))
  call random_seed()
  call random_number(x)
  mean = sum(x)/n
end function
