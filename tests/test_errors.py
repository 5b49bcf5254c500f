from maskrcnn_jax.errors import first_few


def test_a_short_list_is_whole():
    assert first_few([]) == ""
    assert first_few([str(i) for i in range(8)]) == "0, 1, 2, 3, 4, 5, 6, 7"


def test_of_a_long_list_the_first_are_shown_and_the_others_counted():
    assert first_few([str(i) for i in range(60)], "\n") == "0\n1\n2\n3\n4\n5\n6\n7\n... and 52 more"
