/* main.c - argv to command to exit code. The only exit of the program. */
int main(void)
{
  return 0;
}
