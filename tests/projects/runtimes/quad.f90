! IEEE quad precision where long double is another format (-mabi=ieeelongdouble): input and output in each form,
! and what libgfortran computes itself.
program main
  integer, parameter :: q = 16
  real(q) :: x(3), big
  character(len=60) :: line
  character(len=24) :: given = '1.5 2.5 -3.25e2'
  read (given, *) x
  write (line, '(f36.30)') x(1)/3
  print '(a)', line
  write (line, '(es45.33e4)') -x(2)/7e4000_q
  print '(a)', line
  write (line, '(g40.30)') x(3)
  print '(a)', line
  print *, norm2(spread(x, 2, 2), dim=1), x(1)/3
  print *, matmul(reshape([x, x, x], [3, 3]), x)
  print *, bessel_jn(2, 4, x(1)), bessel_yn(2, 4, x(2))
  write (line, '(f10.3)') huge(big)
  print '(a)', line
end program
