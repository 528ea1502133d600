"""`python -m longembed_st`: the command line, where the script is not on the path."""

from longembed_st.command.app import main

if __name__ == "__main__":
    main()
