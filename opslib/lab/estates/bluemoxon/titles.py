"""The collection: title, author, publisher, year and binding of each book, Victorian as the app's users like them."""

from __future__ import annotations

_TABLE = """
Poems, Chiefly Lyrical|Alfred Tennyson|Effingham Wilson|1830|boards
Poems|Alfred Tennyson|Edward Moxon|1833|boards
Poems (two volumes)|Alfred Tennyson|Edward Moxon|1842|cloth
The Princess: A Medley|Alfred Tennyson|Edward Moxon|1847|green cloth
In Memoriam|Alfred Tennyson|Edward Moxon|1850|purple cloth
Maud, and Other Poems|Alfred Tennyson|Edward Moxon|1855|green cloth
Poems (illustrated)|Alfred Tennyson|Edward Moxon|1857|blue cloth gilt
Idylls of the King|Alfred Tennyson|Edward Moxon|1859|green cloth
Enoch Arden|Alfred Tennyson|Edward Moxon|1864|green cloth
Sordello|Robert Browning|Edward Moxon|1840|boards
Bells and Pomegranates|Robert Browning|Edward Moxon|1846|wrappers
Men and Women|Robert Browning|Chapman and Hall|1855|green cloth
Dramatis Personae|Robert Browning|Chapman and Hall|1864|red cloth
The Ring and the Book|Robert Browning|Smith, Elder|1868|green cloth
Poems|Elizabeth Barrett Browning|Edward Moxon|1844|green cloth
Casa Guidi Windows|Elizabeth Barrett Browning|Chapman and Hall|1851|blue cloth
Aurora Leigh|Elizabeth Barrett Browning|Chapman and Hall|1857|green cloth
Queen Mab|Percy Bysshe Shelley|Edward Moxon|1840|morocco
The Poetical Works|Percy Bysshe Shelley|Edward Moxon|1839|half calf
Essays, Letters from Abroad|Percy Bysshe Shelley|Edward Moxon|1840|cloth
Rambles in Germany and Italy|Mary Shelley|Edward Moxon|1844|cloth
The Poetical Works|William Wordsworth|Edward Moxon|1836|full calf
Yarrow Revisited|William Wordsworth|Edward Moxon|1835|boards
The Prelude|William Wordsworth|Edward Moxon|1850|maroon cloth
The Last Essays of Elia|Charles Lamb|Edward Moxon|1833|boards
Album Verses|Charles Lamb|Edward Moxon|1830|boards
Italy: A Poem|Samuel Rogers|Edward Moxon|1838|morocco
Poems|Samuel Rogers|Edward Moxon|1834|morocco
Life, Letters and Literary Remains of John Keats|R. Monckton Milnes|Edward Moxon|1848|cloth
The Pickwick Papers|Charles Dickens|Chapman and Hall|1837|half calf
Nicholas Nickleby|Charles Dickens|Chapman and Hall|1839|half morocco
A Christmas Carol|Charles Dickens|Chapman and Hall|1843|red cloth gilt
Dombey and Son|Charles Dickens|Bradbury and Evans|1848|green cloth
David Copperfield|Charles Dickens|Bradbury and Evans|1850|half calf
Bleak House|Charles Dickens|Bradbury and Evans|1853|parts
Great Expectations|Charles Dickens|Chapman and Hall|1861|purple cloth
Vanity Fair|W. M. Thackeray|Bradbury and Evans|1848|half calf
The History of Henry Esmond|W. M. Thackeray|Smith, Elder|1852|cloth
Jane Eyre|Currer Bell|Smith, Elder|1847|cloth
Villette|Currer Bell|Smith, Elder|1853|plum cloth
Shirley|Currer Bell|Smith, Elder|1849|claret cloth
Poems|Currer, Ellis and Acton Bell|Smith, Elder|1846|green cloth
Adam Bede|George Eliot|William Blackwood|1859|orange cloth
The Mill on the Floss|George Eliot|William Blackwood|1860|orange cloth
Middlemarch|George Eliot|William Blackwood|1871|half calf
Modern Painters|John Ruskin|Smith, Elder|1843|cloth
The Stones of Venice|John Ruskin|Smith, Elder|1851|brown cloth
The Seven Lamps of Architecture|John Ruskin|Smith, Elder|1849|brown cloth
Sartor Resartus|Thomas Carlyle|Saunders and Otley|1838|boards
The French Revolution|Thomas Carlyle|James Fraser|1837|boards
Goblin Market and Other Poems|Christina Rossetti|Macmillan|1862|blue cloth
The Prince's Progress|Christina Rossetti|Macmillan|1866|green cloth
Poems|Dante Gabriel Rossetti|F. S. Ellis|1870|green cloth gilt
Atalanta in Calydon|Algernon Charles Swinburne|Edward Moxon|1865|white cloth
Poems and Ballads|Algernon Charles Swinburne|Edward Moxon|1866|green cloth
The Defence of Guenevere|William Morris|Bell and Daldy|1858|brown cloth
The Earthly Paradise|William Morris|F. S. Ellis|1868|green cloth
Rubaiyat of Omar Khayyam|Edward FitzGerald|Bernard Quaritch|1859|wrappers
Alice's Adventures in Wonderland|Lewis Carroll|Macmillan|1866|red cloth gilt
Through the Looking-Glass|Lewis Carroll|Macmillan|1872|red cloth gilt
The Water-Babies|Charles Kingsley|Macmillan|1863|green cloth
The Woman in White|Wilkie Collins|Sampson Low|1860|purple cloth
The Moonstone|Wilkie Collins|Tinsley Brothers|1868|violet cloth
Barchester Towers|Anthony Trollope|Longman|1857|brown cloth
North and South|Elizabeth Gaskell|Chapman and Hall|1855|cloth
Cranford|Elizabeth Gaskell|Chapman and Hall|1853|green cloth
On the Origin of Species|Charles Darwin|John Murray|1859|green cloth
Travels in the East|Alphonse de Lamartine|William Tait|1839|half calf
"""
TITLES = tuple(tuple(line.split("|")) for line in _TABLE.strip().splitlines())
